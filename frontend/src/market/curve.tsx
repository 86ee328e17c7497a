/** Supply and demand of one slot. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { energy, money, whole } from "../format";
import { usePreferences } from "../prefs";
import { ticks, useWidth } from "../ui/chart";
import { Card, Empty, Loaded, Segments } from "../ui/kit";
import { type Merit, meritOf, sellable } from "./merit";

const HEIGHT = 230;

export function Curve(props: { batchId: number | null; zone: number; classId: number; slot: number; when: string }) {
  const { text: t } = usePreferences();
  const [good, setGood] = useState<"power" | "compute">("power");
  const { batchId, zone, classId, slot } = props;
  const query = useQuery({
    queryKey: ["curves", batchId, zone, classId, slot],
    queryFn: ({ signal }) =>
      take(
        api.GET("/api/v1/batches/{batch_id}/curves", {
          params: { path: { batch_id: batchId! }, query: { zone_id: zone, slot, class_id: classId } },
          signal,
        }),
      ),
    enabled: batchId !== null,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const switcher = (
    <Segments
      label={t.market.curve}
      value={good}
      options={[
        ["power", t.market.power],
        ["compute", t.market.compute],
      ]}
      onChange={setGood}
    />
  );
  const title = (
    <>
      {t.market.curve} <small>{props.when}</small>
    </>
  );
  return (
    <Card title={title} aside={switcher}>
      {batchId === null ? (
        <Empty title={t.market.noCurve} />
      ) : (
        <Loaded query={query} height={`${HEIGHT + 60}px`}>
          {(data) => <Drawing data={data} good={good} />}
        </Loaded>
      )}
    </Card>
  );
}

function Drawing({ data, good }: { data: Schemas["CurvesOut"]; good: "power" | "compute" }) {
  const { text: t, language } = usePreferences();
  const power = good === "power";
  const soldBy = (grid: boolean) => data.energy_supply.some((step) => (step.source === 0) === grid && step.sold);
  const prices = power
    ? [soldBy(true) ? data.energy_price_grey : null, soldBy(false) ? data.energy_price_green : null]
    : [data.compute_price_grey, data.compute_price_green].map((price) => (sellable(price) ? price : null));
  const merit = power ? meritOf(data.energy_supply, [], []) : meritOf(data.compute_supply, data.compute_demand, []);
  if (!merit.blocks.length && !merit.demand.length) return <Empty title={t.market.noCurve} />;
  const amount = (value: number) => (power ? energy(value, language) : `${whole(value, language)} VCU`);
  const sources = [...new Set(merit.blocks.map((block) => block.source ?? -1))].sort((a, b) => a - b);
  const unit = power ? "kWh" : "VCU-slot";
  const named = (
    [
      [t.market.grey, prices[0]],
      [t.market.green, prices[1]],
    ] as const
  ).flatMap(([name, price]) => (price == null ? [] : [`${name} ${money(price, language)}/${unit}`]));
  return (
    <>
      <Plot merit={merit} prices={prices} amount={amount} />
      <ul className="legend">
        {sources.map((source) => (
          <li key={source}>
            <i className={`source-${source < 0 ? "compute" : source}`} />
            {source < 0 ? t.market.compute : (t.source[source] ?? t.source[7])}
          </li>
        ))}
        {merit.demand.length > 0 && (
          <li>
            <i className="demand" />
            {t.market.demand}
          </li>
        )}
      </ul>
      <p className="note">
        {t.market.clearsAt(named.join(" · ") || "–")}
        {power && ` · ${t.market.sold(amount(merit.sold))}`}
      </p>
    </>
  );
}

function Plot(props: { merit: Merit; prices: (number | null)[]; amount: (value: number) => string }) {
  const { merit, prices } = props;
  const { text: t, language } = usePreferences();
  const [ref, width] = useWidth<HTMLDivElement>();
  const left = 56;
  const shown = prices.filter((price) => price !== null);
  const high = Math.max(merit.high, ...shown) * 1.06;
  const low = Math.min(merit.low, ...shown);
  const x = (value: number) => left + (value / Math.max(merit.end, 1)) * (width - left - 8);
  const y = (price: number) => 8 + ((high - price) / Math.max(high - low, 1)) * (HEIGHT - 32);
  const base = y(0);
  let supply = "";
  for (const block of merit.blocks) supply += `${supply ? "L" : "M"}${x(block.from)} ${y(block.price)}H${x(block.to)}`;
  let demand = "";
  for (const step of merit.demand)
    demand += `${demand ? "L" : "M"}${x(step.from)} ${y(step.price)}H${x(Math.min(step.to, merit.end))}`;
  return (
    <div ref={ref}>
      <svg className="plot" viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={t.market.curveLabel}>
        {ticks(low, high).map((price) => (
          <g key={price}>
            <line className="grid" x1={left} x2={width - 8} y1={y(price)} y2={y(price)} />
            <text x={left - 8} y={y(price) + 4} textAnchor="end">
              {money(price, language)}
            </text>
          </g>
        ))}
        {merit.blocks.map((block) => (
          <g key={block.from} className={`source-${block.source ?? "compute"}`}>
            <rect
              className="offered"
              x={x(block.from)}
              width={Math.max(x(block.to) - x(block.from), 0.5)}
              y={Math.min(y(block.price), base)}
              height={Math.max(Math.abs(base - y(block.price)), 1)}
            />
            <rect
              className="taken"
              x={x(block.from)}
              width={Math.max(x(block.soldTo) - x(block.from), 0)}
              y={Math.min(y(block.price), base)}
              height={Math.max(Math.abs(base - y(block.price)), 1)}
            />
          </g>
        ))}
        <path className="supply" d={supply} />
        {demand && <path className="demand" d={demand} />}
        {prices.map((price, mode) =>
          price === null ? null : (
            <line
              key={mode}
              className={mode ? "price green" : "price grey"}
              x1={left}
              x2={width - 8}
              y1={y(price)}
              y2={y(price)}
            />
          ),
        )}
        <text x={width - 8} y={HEIGHT - 6} textAnchor="end">
          {props.amount(merit.end)}
        </text>
        <text x={left} y={HEIGHT - 6}>
          0
        </text>
      </svg>
    </div>
  );
}
