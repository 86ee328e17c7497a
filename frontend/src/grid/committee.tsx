/** How the oracle's committee and its devices are doing: who signed, how late, what was disputed. */
import { useQuery } from "@tanstack/react-query";
import { api, type Schemas, take } from "../api/client";
import { chainQuery } from "../api/queries";
import { whole } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { standingOf } from "../records/devices";
import { Badge, Card, Empty, Facts, Loaded } from "../ui/kit";
import { words } from "./words";

/** Reports signed by each member: bit i of a report's bitmap is member i. Pure. */
export function signedBy(reports: readonly Pick<Schemas["ReportOut"], "signer_bitmap">[]): number[] {
  const bitmaps = reports.map((report) => BigInt(report.signer_bitmap));
  const members = bitmaps.reduce((most, bits) => Math.max(most, bits.toString(2).length), 0);
  return Array.from({ length: members }, (_, member) =>
    bitmaps.reduce((count, bits) => count + Number((bits >> BigInt(member)) & 1n), 0),
  );
}

export function Committee() {
  const { language } = usePreferences();
  const w = usePart(words);
  const chain = useQuery(chainQuery);
  const reports = useQuery({
    queryKey: ["reports"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/reports", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const devices = useQuery({
    queryKey: ["devices"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/devices", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const now = chain.data?.timestamp ?? 0;
  const fit = devices.data?.filter((device) => standingOf(device, now) !== "expired").length;
  return (
    <Card title={w.committee}>
      <Loaded query={reports} height="10rem">
        {(items) => {
          if (!items.length) return <Empty title={w.noReports}>{w.noReportsWhy}</Empty>;
          const leaves = items.reduce((sum, report) => sum + report.leaves, 0);
          return (
            <>
              <Facts
                items={[
                  [w.reports, whole(items.length, language)],
                  [w.readings, whole(leaves, language)],
                  [w.disputed, whole(items.filter((report) => report.disputed).length, language)],
                  [w.devices, devices.data ? `${fit} / ${devices.data.length}` : "…"],
                ]}
              />
              <h3>{w.signers}</h3>
              <ul className="row legend">
                {signedBy(items).map((count, member) => {
                  const percent = Math.round((100 * count) / items.length);
                  return (
                    <li key={member}>
                      {w.member(member + 1)} <Badge tone={percent >= 50 ? "good" : "warn"}>{percent}%</Badge>
                    </li>
                  );
                })}
              </ul>
              <p className="note">{w.signersWhy}</p>
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}
