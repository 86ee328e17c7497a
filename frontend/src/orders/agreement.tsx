/** One agreement: ordered against delivered slot by slot, and the money. */
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { useClassName, useTimes, useZoneName } from "../api/queries";
import { decimal, energy, money } from "../format";
import { usePreferences } from "../prefs";
import { useWidth } from "../ui/chart";
import { Badge, Card, Facts, Hex, Loaded, Page, TableFrame } from "../ui/kit";

type Slot = Schemas["SlotOut"];

export default function Agreement() {
  const { text: t } = usePreferences();
  const { agreement = "" } = useParams();
  const query = useQuery({
    queryKey: ["agreement", agreement],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/agreements/{agreement}", { params: { path: { agreement } }, signal })),
  });
  return (
    <Page title={`${t.agreement.agreement} ${agreement}`} lead={t.agreement.lead}>
      <Loaded query={query} height="30rem">
        {(data) => <Detail data={data} />}
      </Loaded>
    </Page>
  );
}

const sum = (
  slots: Slot[],
  key: "bundle_micro" | "compute_micro" | "power_micro" | "refund_micro" | "matched_wh" | "energy_wh",
) => slots.reduce((total, slot) => total + (slot[key] ?? 0), 0);

function Detail({ data }: { data: Schemas["AgreementDetail"] }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const zoneName = useZoneName();
  const className = useClassName();
  const { slots } = data;
  return (
    <div className="stack">
      <div className="halves">
        <Card>
          <Facts
            items={[
              [t.order.window, `${times.moment(data.start)} – ${times.hour(data.end)}`],
              [t.market.zone, zoneName(data.zone_id)],
              [t.agreement.site, `#${data.site_id}`],
              [t.market.class, className(data.class_id)],
              [
                t.agreement.mode,
                <Badge key="m" tone={data.mode ? "good" : "plain"}>
                  {data.mode ? t.market.green : t.market.grey}
                </Badge>,
              ],
              ["VCU", data.lanes],
              [t.agreement.buyer, <Hex key="b" value={data.maker} />],
              [t.agreement.seller, <Hex key="s" value={data.seller} />],
            ]}
          />
          <p className="note">
            {t.agreement.why} <Link href={`/orders/${data.order_hash}`}>{t.agreement.order}</Link>
          </p>
        </Card>
        <Card title={t.agreement.money}>
          <table>
            <tbody>
              {(
                [
                  [t.agreement.price, sum(slots, "bundle_micro")],
                  [t.agreement.compute, -sum(slots, "compute_micro")],
                  [t.agreement.power, -sum(slots, "power_micro")],
                  [t.agreement.refund, -sum(slots, "refund_micro")],
                ] as const
              ).map(([label, value]) => (
                <tr key={label}>
                  <th>{label}</th>
                  <td className="num">{money(Math.abs(value), language)} BWD</td>
                </tr>
              ))}
              <tr>
                <th>{t.agreement.matched}</th>
                <td className="num">
                  {energy(sum(slots, "matched_wh"), language)} / {energy(sum(slots, "energy_wh"), language)}
                </td>
              </tr>
            </tbody>
          </table>
        </Card>
      </div>
      <Card
        title={t.agreement.delivery}
        aside={<Link href={`/evidence?start=${data.start}&agreement=${data.agreement_id}`}>{t.agreement.proof}</Link>}
      >
        <Bars slots={slots} lanes={data.lanes} label={t.agreement.delivery} />
        <ul className="legend">
          <li>
            <i className="ordered" /> {t.agreement.ordered}
          </li>
          <li>
            <i className="source-compute" /> {t.agreement.delivered}
          </li>
        </ul>
        <TableFrame label={t.agreement.delivery}>
          <table>
            <thead>
              <tr>
                <th>{t.agreement.slot}</th>
                <th>{t.order.stage}</th>
                <th className="num">{t.agreement.ordered}</th>
                <th className="num">{t.agreement.delivered}</th>
                <th className="num">{t.agreement.matched}</th>
                <th className="num">{t.agreement.price}</th>
                <th className="num">{t.agreement.refund}</th>
              </tr>
            </thead>
            <tbody>
              {slots.map((slot) => (
                <tr key={slot.slot}>
                  <td>{times.hour(slot.start)}</td>
                  <td>{t.agreement.state[slot.state]}</td>
                  <td className="num">{slot.lanes}</td>
                  <td className="num">
                    {slot.delivered_milli_lanes == null ? "–" : decimal(slot.delivered_milli_lanes / 1000, language, 3)}
                  </td>
                  <td className="num">{slot.matched_wh == null ? "–" : energy(slot.matched_wh, language)}</td>
                  <td className="num">{money(slot.bundle_micro, language)}</td>
                  <td className="num">{slot.refund_micro == null ? "–" : money(slot.refund_micro, language)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </TableFrame>
      </Card>
    </div>
  );
}

function Bars({ slots, lanes, label }: { slots: Slot[]; lanes: number; label: string }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const height = 120;
  const step = (width - 4) / Math.max(slots.length, 1);
  return (
    <div ref={ref}>
      <svg className="plot" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
        {slots.map((slot, index) => {
          const full = height - 6;
          const got = ((slot.delivered_milli_lanes ?? 0) / (1000 * lanes)) * full;
          const x = 2 + index * step;
          const bar = Math.max(Math.min(step - 2, 40), 1);
          return (
            <g key={slot.slot}>
              <rect className="offered ordered" x={x} y={3} width={bar} height={full} />
              <rect className="taken source-compute" x={x} y={3 + full - got} width={bar} height={got} />
            </g>
          );
        })}
      </svg>
    </div>
  );
}
