/** Suppliers: plants, what they sold and were metered to deliver, and their devices. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { batchesQuery, useTimes, useZoneName } from "../api/queries";
import { energy, money, watts } from "../format";
import { usePreferences } from "../prefs";
import { Card, Choice, Empty, Facts, Hex, Loaded, Page } from "../ui/kit";
import { SeriesChart } from "../ui/series";
import { Devices } from "./devices";

export default function Supplier() {
  const { text: t } = usePreferences();
  const plants = useQuery({
    queryKey: ["plants"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/plants", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const batches = useQuery(batchesQuery);
  return (
    <Page title={t.supplier.title} lead={t.supplier.lead}>
      <div className="stack">
        <Card title={t.supplier.plants}>
          <Loaded query={plants} height="24rem">
            {(items) => {
              const green = items.filter((plant) => plant.source !== 0);
              return green.length ? (
                <Plants plants={green} batchId={batches.data?.items[0]?.batch_id ?? null} />
              ) : (
                <Empty title={t.supplier.none} />
              );
            }}
          </Loaded>
        </Card>
        <Card title={t.asset.devices}>
          <Devices kinds={[2]} />
        </Card>
      </div>
    </Page>
  );
}

function Plants({ plants, batchId }: { plants: Schemas["PlantOut"][]; batchId: number | null }) {
  const { text: t, language } = usePreferences();
  const zoneName = useZoneName();
  const [id, setId] = useState(plants[0]!.plant_id);
  const plant = plants.find((one) => one.plant_id === id)!;
  return (
    <>
      <div className="controls">
        <Choice
          label={t.supplier.plant}
          value={id}
          options={plants.map(
            (one) => [one.plant_id, `${t.source[one.source]} · ${zoneName(one.zone_id)} · #${one.plant_id}`] as const,
          )}
          onChange={setId}
        />
      </div>
      <Facts
        items={[
          [t.certificate.source, t.source[plant.source]],
          [t.market.zone, zoneName(plant.zone_id)],
          [t.asset.nameplate, watts(plant.nameplate_w, language)],
          [t.supplier.factor, `${plant.emission_factor} g/kWh`],
          [t.supplier.owner, <Hex key="o" value={plant.owner} />],
        ]}
      />
      {batchId !== null && <Day plantId={id} batchId={batchId} />}
    </>
  );
}

function Day({ plantId, batchId }: { plantId: number; batchId: number }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const query = useQuery({
    queryKey: ["plant-day", plantId, batchId],
    queryFn: ({ signal }) =>
      take(
        api.GET("/api/v1/plants/{plant_id}/deliveries", {
          params: { path: { plant_id: plantId }, query: { batch_id: batchId } },
          signal,
        }),
      ),
  });
  return (
    <Loaded query={query} height="18rem">
      {(slots) => {
        if (!slots.length) return <Empty title={t.supplier.nothingSold} />;
        const sum = (key: "sold_wh" | "delivered_wh" | "matched_wh" | "paid_micro" | "penalty_micro") =>
          slots.reduce((total, slot) => total + (slot[key] ?? 0), 0);
        return (
          <>
            <SeriesChart
              label={t.supplier.soldAndMetered}
              series={[
                { name: t.supplier.sold, tone: "ordered", values: slots.map((slot) => slot.sold_wh) },
                {
                  name: t.supplier.metered,
                  tone: "source-compute",
                  values: slots.map((slot) => slot.metered_wh ?? null),
                },
              ]}
              at={(index) => times.hour(slots[Math.min(index, slots.length - 1)]!.start)}
              amount={(wh) => energy(wh, language)}
            />
            <Facts
              items={[
                [t.supplier.sold, energy(sum("sold_wh"), language)],
                [t.supplier.delivered, energy(sum("delivered_wh"), language)],
                [t.agreement.matched, energy(sum("matched_wh"), language)],
                [t.supplier.paid, `${money(sum("paid_micro"), language)} BWD`],
                [t.supplier.penalty, `${money(sum("penalty_micro"), language)} BWD`],
              ]}
            />
          </>
        );
      }}
    </Loaded>
  );
}
