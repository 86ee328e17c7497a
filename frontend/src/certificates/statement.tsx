/** Scope 2 of a period by both methods, for printing. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, take } from "../api/client";
import { batchesQuery, useTimes, useZoneName } from "../api/queries";
import { energy, grams, share } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { saveFile, toCsv } from "../ui/file";
import { Card, Choice, Empty, Loaded, TableFrame } from "../ui/kit";
import { words } from "./words";

const YEAR = 366 * 86_400;

export function Statement() {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const batches = useQuery(batchesQuery);
  const [chosen, setChosen] = useState(0);
  const days = batches.data?.items ?? [];
  const day = days.find((batch) => batch.batch_id === chosen);
  const ends = days.map((batch) => batch.start + batch.slots * batch.slot_seconds);
  const end = day ? day.start + day.slots * day.slot_seconds : Math.max(...ends, YEAR);
  const start = day ? day.start : end - YEAR;
  const query = useQuery({
    queryKey: ["mine", "carbon", start, end],
    queryFn: ({ signal }) => take(api.GET("/api/v1/carbon-statement", { params: { query: { start, end } }, signal })),
    enabled: batches.isSuccess,
  });
  const save = () => {
    const names = ["zone_id", "energy_wh", "matched_wh", "location_g", "market_g", "slots", "slots_open"] as const;
    const rows = query.data!.zones.map((zone) => names.map((name) => zone[name]));
    saveFile(`scope2-${start}-${end}.csv`, "text/csv", toCsv([[...names], ...rows]));
  };
  return (
    <Card
      title={w.ghg}
      aside={
        <div className="row">
          <button type="button" onClick={() => print()}>
            {w.print}
          </button>
          <button type="button" onClick={save} disabled={!query.data?.zones.length}>
            {w.csv}
          </button>
        </div>
      }
    >
      <p className="note">{w.statementLead}</p>
      <div className="controls">
        <Choice
          label={w.period}
          value={chosen}
          options={[[0, w.allDays], ...days.map((one) => [one.batch_id, times.day(one.start + 43_200)] as const)]}
          onChange={setChosen}
        />
      </div>
      <Loaded query={query} height="14rem">
        {(data) =>
          data.energy_wh === 0 ? (
            <Empty title={w.noUse}>{w.noUseWhy}</Empty>
          ) : (
            <>
              <dl className="tiles">
                {(
                  [
                    [w.used, energy(data.energy_wh, language)],
                    [w.share, share(data.green_share_bps, language)],
                    [w.location, grams(data.location_g, language)],
                    [w.marketBased, grams(data.market_g, language)],
                  ] as const
                ).map(([name, value]) => (
                  <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                  </div>
                ))}
              </dl>
              <TableFrame label={w.ghg}>
                <table>
                  <thead>
                    <tr>
                      <th>{t.market.zone}</th>
                      <th className="num">{w.used}</th>
                      <th className="num">{w.matched}</th>
                      <th className="num">{w.location}</th>
                      <th className="num">{w.marketBased}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.zones.map((zone) => (
                      <tr key={zone.zone_id}>
                        <td>{zoneName(zone.zone_id)}</td>
                        <td className="num">{energy(zone.energy_wh, language)}</td>
                        <td className="num">{energy(zone.matched_wh, language)}</td>
                        <td className="num">{grams(zone.location_g, language)}</td>
                        <td className="num">{grams(zone.market_g, language)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </TableFrame>
              <p className="note">
                {times.moment(data.start)} – {times.moment(data.end)}
              </p>
              {data.zones.some((zone) => zone.slots_open > 0) && (
                <p className="note">{w.openSlots(data.zones.reduce((sum, zone) => sum + zone.slots_open, 0))}</p>
              )}
            </>
          )
        }
      </Loaded>
    </Card>
  );
}
