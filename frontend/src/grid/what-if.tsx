/** A cleared day under other circumstances: cleared again by the service, side by side with what happened. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { energy, grams, money, share, whole } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { Problem, useAct } from "../ui/act";
import { Card, Choice, Field, Loaded, TableFrame } from "../ui/kit";
import { SeriesChart } from "../ui/series";
import { SignedOut } from "../ui/signed-out";
import { useWallet } from "../wallet/context";
import { words } from "./words";

const SOLAR = 1;
const WIND = 2;

export function WhatIf({ batchId }: { batchId: number }) {
  const w = usePart(words);
  const { session } = useWallet();
  return (
    <Card title={w.title}>
      <p className="note">{w.lead}</p>
      {session ? <Circumstances key={batchId} batchId={batchId} /> : <SignedOut title={w.signedOut} />}
    </Card>
  );
}

function Share(props: { label: string; value: number; change: (percent: number) => void }) {
  return (
    <Field label={props.label}>
      {(id) => (
        <div className="slider">
          <input
            id={id}
            type="range"
            min={0}
            max={300}
            step={10}
            value={props.value}
            onChange={(event) => props.change(event.target.valueAsNumber)}
          />
          <output htmlFor={id}>{props.value}%</output>
        </div>
      )}
    </Field>
  );
}

function Circumstances({ batchId }: { batchId: number }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const zoneName = useZoneName();
  const { busy, problem, act } = useAct();
  const [solar, setSolar] = useState(150);
  const [wind, setWind] = useState(100);
  const [demand, setDemand] = useState(100);
  const [tariff, setTariff] = useState(100);
  const [out, setOut] = useState(0);
  const [noDelay, setNoDelay] = useState(false);
  const [id, setId] = useState<string | null>(null);
  const plants = useQuery({
    queryKey: ["plants"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/plants", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const job = useQuery({
    queryKey: ["mine", "job", id],
    queryFn: ({ signal }) => take(api.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: id! } }, signal })),
    enabled: id !== null,
    refetchInterval: ({ state }) => (state.data && !["waiting", "running"].includes(state.data.state) ? false : 700),
  });
  const open = job.data && ["waiting", "running"].includes(job.data.state);
  const ask = (event: React.FormEvent) => {
    event.preventDefault();
    act(async () => {
      const changes = {
        demand_bps: demand * 100,
        grid_price_bps: tariff * 100,
        sources: [
          { source: SOLAR, bps: solar * 100 },
          { source: WIND, bps: wind * 100 },
        ],
        plants_out: out ? [out] : [],
        no_delay: noDelay,
      };
      setId((await take(api.POST("/api/v1/what-ifs", { body: { batch_id: batchId, changes } }))).id);
    });
  };
  const name = (plant: Schemas["PlantOut"]) =>
    plant.source === 0
      ? w.gridOf(zoneName(plant.zone_id))
      : w.plant(t.source[plant.source] ?? t.source[7]!, zoneName(plant.zone_id), plant.plant_id);
  return (
    <>
      <form className="bundle" onSubmit={ask}>
        <div className="halves">
          <Share label={w.solar} value={solar} change={setSolar} />
          <Share label={w.wind} value={wind} change={setWind} />
          <Share label={w.demand} value={demand} change={setDemand} />
          <Share label={w.tariff} value={tariff} change={setTariff} />
        </div>
        <Choice
          label={w.out}
          value={out}
          options={[[0, w.nothingOut], ...(plants.data ?? []).map((plant) => [plant.plant_id, name(plant)] as const)]}
          onChange={setOut}
        />
        <Choice
          label={w.noDelay}
          value={noDelay ? 1 : 0}
          options={[
            [0, "–"],
            [1, "✓"],
          ]}
          onChange={(value) => setNoDelay(value === 1)}
        />
        <button type="submit" className="primary" disabled={busy || open}>
          {open ? w.running(share(job.data!.progress_bps, language)) : w.run}
        </button>
      </form>
      <Problem text={problem ?? (job.data?.error ? w.failed(job.data.error) : null)} />
      {id !== null && !open && (
        <Loaded query={job} height="24rem">
          {(found) => found.result && <Difference result={found.result} />}
        </Loaded>
      )}
    </>
  );
}

function Difference({ result }: { result: Schemas["WhatIfResult"] }) {
  const { language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const rows: [string, keyof Schemas["WhatIfFigures"], (value: number) => string][] = [
    [w.filled, "orders_filled", (value) => whole(value, language)],
    [w.vcu, "filled_vcu_slots", (value) => whole(value, language)],
    [w.cost, "buyer_cost_micro", (value) => `${money(value, language)} BWD`],
    [w.green, "green_share_bps", (value) => share(value, language)],
    [w.unused, "curtailed_wh", (value) => energy(value, language)],
    [w.market, "carbon_market_g", (value) => grams(value, language)],
    [w.welfare, "welfare_micro", (value) => `${money(value, language)} BWD`],
  ];
  const matched = (side: Schemas["WhatIfSide"]) =>
    Array.from({ length: result.slots }, (_, slot) =>
      side.zones.reduce((sum, zone) => sum + (zone.green_sold_wh[slot] ?? 0), 0),
    );
  return (
    <>
      <TableFrame label={w.title}>
        <table>
          <thead>
            <tr>
              <th>{w.figure}</th>
              <th className="num">{w.before}</th>
              <th className="num">{w.after}</th>
              <th className="num">{w.change}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([label, key, words]) => {
              const [before, after] = [Number(result.before.figures[key]), Number(result.after.figures[key])];
              return (
                <tr key={key}>
                  <td>{label}</td>
                  <td className="num">{words(before)}</td>
                  <td className="num">{words(after)}</td>
                  <td className="num">
                    <b>
                      {after > before ? "+" : ""}
                      {words(after - before)}
                    </b>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </TableFrame>
      <SeriesChart
        label={w.chart}
        height={180}
        series={[
          { name: w.before, tone: "source-0", values: matched(result.before) },
          { name: w.after, tone: "source-compute", values: matched(result.after) },
        ]}
        at={(slot) => times.hour(result.start + slot * result.slot_seconds)}
        amount={(wh) => energy(wh, language)}
      />
    </>
  );
}
