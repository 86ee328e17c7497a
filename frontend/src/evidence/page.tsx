/** Evidence explorer: choose an interval and a reading, see each step recomputed, change a number, see it fail. */
import { useQuery } from "@tanstack/react-query";
import { useLocation, useSearch } from "wouter";
import { rpcUrlOf } from "../api/chain";
import { ApiError, api, take } from "../api/client";
import { chainQuery, useTimes } from "../api/queries";
import { usePreferences } from "../prefs";
import { Card, Choice, Empty, Failure, Loaded, Page, Skeleton } from "../ui/kit";
import { toBigInt, unhex } from "../wire/bytes";
import { readReport } from "./chain";
import { materialOf } from "./checks";
import { Explorer } from "./explorer";
import { PackFile } from "./pack-file";

/** A file of the archive as bytes. */
export async function archived(kind: "readings" | "evidence", hash: string, signal?: AbortSignal) {
  const params = { path: { kind, digest: hash } };
  const answer = await api.GET("/api/v1/archive/{kind}/{digest}", { params, signal, parseAs: "arrayBuffer" });
  if (!answer.response.ok) {
    const detail = answer.response.statusText;
    throw new ApiError({ type: "", title: detail, status: answer.response.status, detail });
  }
  return new Uint8Array(answer.data as unknown as ArrayBuffer);
}

export default function Evidence() {
  const { text: t } = usePreferences();
  const times = useTimes();
  const query = new URLSearchParams(useSearch());
  const [, navigate] = useLocation();
  const reports = useQuery({
    queryKey: ["reports"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/reports", { params: { query: { limit: 500 } }, signal }))).items,
  });
  const chosen = Number(query.get("start") ?? 0);
  return (
    <Page title={t.evidence.title} lead={t.evidence.lead}>
      <Loaded query={reports} height="36rem">
        {(items) => {
          const filled = items.filter((item) => item.leaves > 0);
          if (!filled.length)
            return (
              <Card>
                <Empty title={t.evidence.none}>{t.evidence.noneWhy}</Empty>
              </Card>
            );
          const report = filled.find((item) => item.start === chosen) ?? filled[Math.floor(filled.length / 2)]!;
          const step = (by: number) => {
            const next = filled[filled.indexOf(report) + by];
            if (next) navigate(`?start=${next.start}`, { replace: true });
          };
          return (
            <>
              <div className="controls">
                <Choice
                  label={t.evidence.interval}
                  value={report.start}
                  options={filled.map(
                    (item) => [item.start, `${times.moment(item.start)} – ${times.hour(item.end)}`] as const,
                  )}
                  onChange={(start) => navigate(`?start=${start}`, { replace: true })}
                />
                <button type="button" onClick={() => step(-1)} disabled={report === filled[0]}>
                  ← {t.evidence.earlier}
                </button>
                <button type="button" onClick={() => step(1)} disabled={report === filled.at(-1)}>
                  {t.evidence.later} →
                </button>
              </div>
              <Interval key={report.start} report={report} agreement={query.get("agreement")} />
            </>
          );
        }}
      </Loaded>
      <PackFile />
    </Page>
  );
}

type ReportOut = Parameters<typeof readReport>[2] & { archive_hash: string; start: number };

function Interval({ report, agreement }: { report: ReportOut; agreement: string | null }) {
  const { text: t } = usePreferences();
  const chain = useQuery(chainQuery);
  const rpcUrl = rpcUrlOf(chain.data);
  const bundle = useQuery({
    queryKey: ["bundle", report.archive_hash],
    queryFn: ({ signal }) => archived("readings", report.archive_hash, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const onChain = useQuery({
    queryKey: ["on-chain", rpcUrl, report.tx_hash],
    queryFn: () => readReport(chain.data!, rpcUrl!, report),
    enabled: rpcUrl !== null,
  });
  const material = useQuery({
    queryKey: ["material", report.archive_hash, onChain.data?.root ?? null, onChain.isFetched],
    queryFn: () => materialOf(bundle.data!, onChain.data ?? null),
    enabled: bundle.isSuccess && chain.isSuccess && (rpcUrl === null || onChain.isFetched),
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  const error = bundle.error ?? material.error ?? chain.error;
  if (error) return <Failure error={error} retry={() => bundle.refetch()} />;
  if (!material.data) return <Skeleton height="32rem" />;
  const wanted = agreement ? toBigInt(unhex(`0x${BigInt(agreement).toString(16).padStart(64, "0")}`)) : null;
  const first = material.data.leaves.findIndex(
    (leaf) => wanted !== null && toBigInt(leaf.reading.agreementId) === wanted,
  );
  return (
    <>
      {rpcUrl === null && <p className="decline">{t.evidence.noRpc}</p>}
      {onChain.isError && <p className="decline">{t.evidence.rpcDown}</p>}
      <Explorer material={material.data} chain={chain.data!} rpcUrl={rpcUrl} first={Math.max(first, 0)} />
    </>
  );
}
