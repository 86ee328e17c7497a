/** The reason for an order's fill in words, and as a picture of every price it could have taken. */
import { useQuery } from "@tanstack/react-query";
import { api, type Schemas, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { money, share } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { useWidth } from "../ui/chart";
import { Card, Loaded } from "../ui/kit";
import { whyOf, type ZoneChoice } from "./why";
import { words } from "./words";

interface Props {
  order: Schemas["OrderOut"];
  runs: Schemas["AgreementOut"][];
}

export function WhyCard({ order, runs }: Props) {
  const w = usePart(words);
  const batchId = order.batch_ids[0]!;
  const prices = useQuery({
    queryKey: ["prices", batchId],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/batches/{batch_id}/prices", { params: { path: { batch_id: batchId } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Card title={order.lanes_filled ? w.why : w.whyUnfilled}>
      <Loaded query={prices} height="16rem">
        {(data) => <Reason {...{ order, runs }} prices={data} />}
      </Loaded>
    </Card>
  );
}

function Reason({ order, runs, prices }: Props & { prices: Schemas["PricesOut"] }) {
  const { language } = usePreferences();
  const w = usePart(words);
  const why = whyOf(
    order,
    prices,
    runs.filter((run) => run.batch_id === prices.batch_id),
  );
  const most = order.limit_price * order.lanes_filled * order.duration_slots;
  const more = why.best === null ? 0 : why.cost - why.best;
  return (
    <>
      {order.lanes_filled > 0 ? (
        <>
          <p>
            {w.paid(money(why.cost, language), share(Math.round((why.cost / Math.max(most, 1)) * 10_000), language))}
          </p>
          {why.best !== null && (
            <p>
              {more > 0
                ? w.better(money(why.best, language), money(more, language))
                : w.nothingBetter(money(why.best, language))}
            </p>
          )}
          {why.atOnce !== null && why.atOnce > why.cost && <p>{w.waited(money(why.atOnce - why.cost, language))}</p>}
        </>
      ) : (
        <p>{w.unfilled}</p>
      )}
      {why.zones.map((zone) => (
        <Ladder key={zone.zone} {...{ zone, prices }} limit={order.limit_price} />
      ))}
      <p className="note">
        {w.picture}. {w.whyLead}
      </p>
    </>
  );
}

const HEIGHT = 84;

/** One zone: a bar per slot as high as its price, filled where the order runs, and its limit across. */
function Ladder({ zone, prices, limit }: { zone: ZoneChoice; prices: Schemas["PricesOut"]; limit: number }) {
  const { language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const [ref, width] = useWidth<HTMLDivElement>();
  const known = zone.cells.flatMap((cell) => (cell.price === null ? [] : [cell.price]));
  const high = Math.max(1, Math.min(limit, Math.max(1, ...known) * 1.4));
  const step = width / Math.max(zone.cells.length, 1);
  const y = (price: number) => HEIGHT - 16 - (Math.min(price, high) / high) * (HEIGHT - 22);
  const at = (slot: number) => times.hour(prices.start + slot * prices.slot_seconds);
  return (
    <figure className="figure" ref={ref}>
      <figcaption className="row">
        <b>{zoneName(zone.zone)}</b>
        <small>
          {w.zoneCost}: {zone.cost === null ? w.cannot : `${money(zone.cost, language)} BWD`}
        </small>
      </figcaption>
      <svg
        className="plot"
        viewBox={`0 0 ${width} ${HEIGHT}`}
        role="img"
        aria-label={`${zoneName(zone.zone)}: ${w.picture}`}
      >
        {zone.cells.map((cell, index) =>
          cell.price === null ? null : (
            <rect
              key={cell.slot}
              className={`${cell.taken ? "taken" : "offered"} ${cell.green ? "source-compute" : "source-0"}`}
              x={index * step + 1}
              width={Math.max(step - 2, 1)}
              y={y(cell.price)}
              height={HEIGHT - 16 - y(cell.price)}
            >
              <title>{`${at(cell.slot)} ${money(cell.price, language)}${cell.taken ? ` · ${cell.taken} VCU` : ""}`}</title>
            </rect>
          ),
        )}
        <line className="demand" x1="0" x2={width} y1={y(limit)} y2={y(limit)} />
        <text x={width - 2} y={y(limit) + 13} textAnchor="end">
          {w.limit} {money(limit, language)}
        </text>
        {zone.cells.length > 0 && (
          <>
            <text x="0" y={HEIGHT - 3}>
              {at(zone.cells[0]!.slot)}
            </text>
            <text x={width} y={HEIGHT - 3} textAnchor="end">
              {at(zone.cells.at(-1)!.slot + 1)}
            </text>
          </>
        )}
      </svg>
    </figure>
  );
}
