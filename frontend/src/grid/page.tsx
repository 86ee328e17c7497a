/** The grid of the last cleared day: green against load, prices and carbon per zone, and how far it is proven. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { batchesQuery, useTimes, useZoneName } from "../api/queries";
import { decimal, energy, money, share, whole } from "../format";
import { usePreferences } from "../prefs";
import { Card, Choice, Empty, Facts, Loaded, Page } from "../ui/kit";
import { SeriesChart } from "../ui/series";
import { Committee } from "./committee";
import { WhatIf } from "./what-if";

export default function Grid() {
  const { text: t } = usePreferences();
  const batches = useQuery(batchesQuery);
  return (
    <Page title={t.grid.title} lead={t.grid.lead}>
      <Loaded query={batches} height="40rem">
        {(page) =>
          page.items.length ? (
            <Day batches={page.items} />
          ) : (
            <Card>
              <Empty title={t.market.nothing}>{t.market.nothingWhy}</Empty>
            </Card>
          )
        }
      </Loaded>
    </Page>
  );
}

function Day({ batches }: { batches: Schemas["BatchOut"][] }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const [id, setId] = useState(batches[0]!.batch_id);
  const summary = useQuery({
    queryKey: ["batch", id],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/batches/{batch_id}", { params: { path: { batch_id: id } }, signal })),
  });
  const prices = useQuery({
    queryKey: ["prices", id],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/batches/{batch_id}/prices", { params: { path: { batch_id: id } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <div className="stack">
      <Card
        title={t.grid.day}
        aside={
          <Choice
            label={t.grid.batch}
            value={id}
            options={batches.map(
              (batch) => [batch.batch_id, `${batch.batch_id} · ${times.day(batch.start + 43_200)}`] as const,
            )}
            onChange={setId}
          />
        }
      >
        <Loaded query={summary} height="8rem">
          {(batch) => (
            <Facts
              items={[
                [t.order.stage, t.grid.state[batch.state]],
                [t.grid.orders, whole(batch.orders, language)],
                [t.grid.compute, `${whole(batch.vcu_slots, language)} VCU-slots`],
                [t.quote.cost, `${money(batch.cost_micro, language)} BWD`],
                [t.grid.energy, energy(batch.energy_wh, language)],
                [t.quote.green, share(batch.green_share_bps, language)],
                [t.grid.gap, batch.gap_bps == null ? "–" : `≤ ${share(batch.gap_bps, language)}`],
                [t.grid.settled, `${batch.slots_settled + batch.slots_refunded} / ${batch.slots_total}`],
              ]}
            />
          )}
        </Loaded>
        <p className="note">{t.grid.gapWhy}</p>
      </Card>
      <Loaded query={prices} height="32rem">
        {(data) => <Zones data={data} />}
      </Loaded>
      <Committee />
      <WhatIf batchId={id} />
    </div>
  );
}

/** Prices of the slots in which the pool sold something; elsewhere the price only keeps buyers out. */
const traded = (prices: number[], sold: number[]) => prices.map((price, slot) => (sold[slot] ? price : null));

function Zones({ data }: { data: Schemas["PricesOut"] }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const zoneName = useZoneName();
  const at = (slot: number) => times.hour(data.start + slot * data.slot_seconds);
  return (
    <div className="halves">
      {data.grid_carbon.map((carbon, zone) => {
        const [grey, green] = [data.sold_wh[0]![zone]!, data.sold_wh[1]![zone]!];
        const offered = data.offered_wh[1]![zone]!;
        const spilt = offered.reduce((sum, wh, slot) => sum + Math.max(wh - green[slot]!, 0), 0);
        const used = green.reduce((sum, wh) => sum + wh, 0);
        const load = used + grey.reduce((sum, wh) => sum + wh, 0);
        return (
          <Card key={zoneName(zone)} title={zoneName(zone)}>
            <SeriesChart
              label={`${zoneName(zone)}: ${t.grid.greenAndLoad}`}
              height={170}
              series={[
                { name: t.grid.offered, tone: "source-1", values: offered },
                { name: t.grid.load, tone: "ordered", values: green.map((wh, slot) => wh + grey[slot]!) },
                { name: t.grid.matched, tone: "source-compute", values: green },
              ]}
              at={at}
              amount={(wh) => energy(wh, language)}
            />
            <SeriesChart
              label={`${zoneName(zone)}: ${t.grid.prices}`}
              height={130}
              series={[
                { name: t.grid.greyPrice, tone: "source-0", values: traded(data.energy_price[zone]![0]!, grey) },
                {
                  name: t.grid.greenPrice,
                  tone: "source-compute",
                  values: traded(data.energy_price[zone]![1]!, green),
                },
              ]}
              at={at}
              amount={(micro) => money(micro, language)}
            />
            <Facts
              items={[
                [t.quote.green, load ? share(Math.round((used / load) * 10_000), language) : "–"],
                [t.grid.curtailed, energy(spilt, language)],
                [t.grid.carbon, `${decimal(carbon.reduce((sum, g) => sum + g, 0) / carbon.length, language, 0)} g/kWh`],
              ]}
            />
          </Card>
        );
      })}
    </div>
  );
}
