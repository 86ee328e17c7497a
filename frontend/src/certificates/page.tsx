/** Certificates and credits: what is held, what is on offer, the statement of a period, and every retirement. */
import { useQuery } from "@tanstack/react-query";
import { Link, useLocation, useSearch } from "wouter";
import { api, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { saveFile, toCsv } from "../ui/file";
import { Badge, Card, Empty, Failure, Hex, Loaded, Page, Segments, Skeleton, TableFrame } from "../ui/kit";
import { More, usePages } from "../ui/pages";
import { SignedOut } from "../ui/signed-out";
import { useWallet } from "../wallet/context";
import { amountText, monthText, unpackId } from "./id";
import { Listings } from "./market";
import { Statement } from "./statement";
import { words } from "./words";

const TABS = ["portfolio", "market", "statement", "ledger"] as const;
type Tab = (typeof TABS)[number];

export default function Certificates() {
  const { text: t } = usePreferences();
  const w = usePart(words);
  const { session } = useWallet();
  const [, navigate] = useLocation();
  const asked = new URLSearchParams(useSearch()).get("view") as Tab;
  const tab = TABS.includes(asked) ? asked : "portfolio";
  const open = (next: Tab) => navigate(`?view=${next}`, { replace: true });
  return (
    <Page title={t.certificate.title} lead={t.certificate.lead}>
      <div className="controls">
        <Segments label={w.view} value={tab} options={TABS.map((name) => [name, w.tabs[name]])} onChange={open} />
      </div>
      {tab === "market" && <Listings />}
      {tab === "ledger" && (
        <Card title={t.certificate.retirements}>
          <Retirements />
        </Card>
      )}
      {tab === "portfolio" && (
        <div className="stack">
          {session ? (
            <Portfolio />
          ) : (
            <Card title={t.certificate.mine}>
              <SignedOut title={t.certificate.signedOut} />
            </Card>
          )}
        </div>
      )}
      {tab === "statement" &&
        (session ? (
          <Statement />
        ) : (
          <Card title={w.ghg}>
            <SignedOut title={t.certificate.signedOut} />
          </Card>
        ))}
    </Page>
  );
}

export const useHoldings = (enabled: boolean) =>
  useQuery({
    queryKey: ["mine", "certificates"],
    queryFn: ({ signal }) => take(api.GET("/api/v1/certificates", { signal })),
    enabled,
  });

function Portfolio() {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const zoneName = useZoneName();
  const query = useHoldings(true);
  const save = () => {
    const names = ["certificate_id", "account", "kind", "unit", "year_month", "zone_id", "source", "issuer"] as const;
    const rows = query.data!.map((item) => [...names.map((name) => item[name]), item.amount, item.retired]);
    saveFile("certificates.csv", "text/csv", toCsv([[...names, "amount", "retired"], ...rows]));
  };
  return (
    <Card
      title={t.certificate.mine}
      aside={
        <button type="button" onClick={save} disabled={!query.data?.length}>
          {w.csv}
        </button>
      }
    >
      <Loaded query={query} height="10rem">
        {(items) =>
          items.length === 0 ? (
            <Empty title={t.certificate.none}>{t.certificate.noneWhy}</Empty>
          ) : (
            <TableFrame label={t.certificate.mine}>
              <table>
                <thead>
                  <tr>
                    <th>{t.certificate.kind}</th>
                    <th>{t.certificate.month}</th>
                    <th>{t.market.zone}</th>
                    <th>{t.certificate.source}</th>
                    <th className="num">{t.certificate.held}</th>
                    <th className="num">{t.certificate.retired}</th>
                    <td />
                  </tr>
                </thead>
                <tbody>
                  {items.map((item) => (
                    <tr key={item.account + item.certificate_id}>
                      <td>
                        <Badge tone="good">{t.certificate.kinds[item.kind]}</Badge>
                      </td>
                      <td>{monthText(item.year_month)}</td>
                      <td>{zoneName(item.zone_id)}</td>
                      <td>{item.kind === "certificate" ? (t.source[item.source] ?? t.source[7]) : "–"}</td>
                      <td className="num">{amountText(item.kind, item.amount, language)}</td>
                      <td className="num">{amountText(item.kind, item.retired, language)}</td>
                      <td className="num">
                        <Link className="button" href={`/certificates/${item.certificate_id}`}>
                          {w.open}
                        </Link>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableFrame>
          )
        }
      </Loaded>
    </Card>
  );
}

function Retirements() {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const { query, items } = usePages(["retirements"], (cursor, signal) =>
    take(api.GET("/api/v1/certificates/retirements", { params: { query: { limit: 50, cursor } }, signal })),
  );
  if (query.isError) return <Failure error={query.error} retry={() => query.refetch()} />;
  if (!items) return <Skeleton height="14rem" />;
  if (!items.length) return <Empty title={t.certificate.noRetirements}>{t.certificate.noRetirementsWhy}</Empty>;
  return (
    <>
      <TableFrame label={t.certificate.retirements}>
        <table>
          <thead>
            <tr>
              <th>{t.certificate.at}</th>
              <th>{t.certificate.beneficiary}</th>
              <th>{t.market.zone}</th>
              <th>{t.certificate.source}</th>
              <th className="num">{t.certificate.amount}</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {items.map((item) => {
              const meta = unpackId(item.certificate_id);
              return (
                <tr key={`${item.tx_hash}${item.certificate_id}${item.beneficiary}${item.amount}`}>
                  <td>{times.moment(item.at)}</td>
                  <td>
                    <Hex value={item.beneficiary} />
                  </td>
                  <td>{meta ? zoneName(meta.zoneId) : "–"}</td>
                  <td>{meta?.kind === "certificate" ? t.source[meta.source] : t.certificate.kinds.credit}</td>
                  <td className="num">{amountText(meta?.kind ?? "certificate", item.amount, language)}</td>
                  <td className="num">
                    <Link
                      href={`/certificates/${item.certificate_id}?tx=${item.tx_hash}&for=${item.beneficiary}`}
                      className="button"
                    >
                      {w.sheet}
                    </Link>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </TableFrame>
      <More query={query} />
    </>
  );
}
