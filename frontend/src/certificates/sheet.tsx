/** One certificate: its sheet for printing, its history, what the chain says of it, and what its holder may do. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Hex as HexString } from "viem";
import { Link, useParams, useSearch } from "wouter";
import { rpcUrlOf } from "../api/chain";
import { api, type Schemas, take } from "../api/client";
import { chainQuery, useTimes, useZoneName } from "../api/queries";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { saveFile, toCsv } from "../ui/file";
import { Badge, Card, Choice, Empty, Facts, Failure, Hex, Page, Skeleton, TableFrame } from "../ui/kit";
import { More, usePages } from "../ui/pages";
import { SignedOut } from "../ui/signed-out";
import { useWallet } from "../wallet/context";
import { Actions } from "./actions";
import { readRetirements, readSupply } from "./chain";
import { amountText, energyTag, monthText, type Unpacked, unpackId } from "./id";
import { useHoldings } from "./page";
import { Qr } from "./qr";
import { words } from "./words";

export default function Sheet() {
  const { text: t } = usePreferences();
  const w = usePart(words);
  const { id = "" } = useParams();
  const query = new URLSearchParams(useSearch());
  const meta = unpackId(id);
  if (!meta)
    return (
      <Page title={w.notAnId}>
        <Card>
          <Empty title={w.notAnId}>{w.notAnIdWhy}</Empty>
        </Card>
      </Page>
    );
  const tx = query.get("tx");
  return (
    <Page title={w.sheetOf(t.certificate.kinds[meta.kind], monthText(meta.yearMonth))} lead={w.sheetLead}>
      <div className="board">
        <div className="stack">
          <Face id={id} meta={meta} />
          {tx && /^0x[0-9a-f]{64}$/.test(tx) && <Retired id={id} meta={meta} tx={tx} who={query.get("for")} />}
          <History id={id} meta={meta} />
        </div>
        <div className="stack">
          <Card title={w.owned} className="unprinted">
            <Own id={id} meta={meta} />
          </Card>
        </div>
      </div>
    </Page>
  );
}

function Own({ id, meta }: { id: string; meta: Unpacked }) {
  const { language } = usePreferences();
  const w = usePart(words);
  const { session } = useWallet();
  const [chosen, setChosen] = useState(0);
  const query = useHoldings(session !== null);
  if (!session) return <SignedOut title={w.signedOut} />;
  if (query.isError) return <Failure error={query.error} retry={() => query.refetch()} />;
  if (!query.data) return <Skeleton height="10rem" />;
  const mine = query.data.filter((item) => item.certificate_id === id && item.amount > 0);
  const holding = mine[chosen] ?? mine[0];
  if (!holding) return <Empty title={w.nothingHeld} />;
  return (
    <>
      <p className="big">{amountText(meta.kind, holding.amount, language)}</p>
      {mine.length > 1 && (
        <Choice
          label={w.from}
          value={chosen}
          options={mine.map((item, index) => [index, item.account] as const)}
          onChange={setChosen}
        />
      )}
      <Actions key={holding.account + holding.amount} holding={holding} />
    </>
  );
}

function Face({ id, meta }: { id: string; meta: Unpacked }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const zoneName = useZoneName();
  const chain = useQuery(chainQuery);
  const rpcUrl = rpcUrlOf(chain.data);
  const supply = useQuery({
    queryKey: ["supply", rpcUrl, id],
    queryFn: () => readSupply(chain.data!, rpcUrl!, id),
    enabled: rpcUrl !== null,
    structuralSharing: false,
  });
  const units = (amount: bigint | undefined) =>
    amount === undefined ? "…" : amountText(meta.kind, Number(amount), language);
  const ok = supply.data && supply.data.minted - supply.data.retired === supply.data.circulating;
  return (
    <Card
      title={w.sheet}
      aside={
        <button type="button" onClick={() => print()}>
          {w.print}
        </button>
      }
    >
      <div className="face">
        <figure>
          <Qr text={location.href} label={w.scan} />
          <figcaption className="note">{w.scan}</figcaption>
        </figure>
        <Facts
          items={[
            [t.certificate.kind, t.certificate.kinds[meta.kind]],
            [t.certificate.month, monthText(meta.yearMonth)],
            [t.market.zone, zoneName(meta.zoneId)],
            meta.kind === "certificate" && [t.certificate.source, t.source[meta.source] ?? t.source[7]],
            [w.issuer, <Hex key="i" value={meta.issuer} />],
            [t.certificate.id, <Hex key="n" value={id} />],
          ]}
        />
      </div>
      <h3>{w.proof}</h3>
      <dl className="tiles">
        {(
          [
            [w.minted, supply.data?.minted],
            [w.retiredAll, supply.data?.retired],
            [w.circulating, supply.data?.circulating],
          ] as const
        ).map(([name, amount]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{units(amount)}</dd>
          </div>
        ))}
      </dl>
      {ok !== undefined && (
        <p>
          <Badge tone={ok ? "good" : "bad"}>{ok ? "✓" : "✗"}</Badge> {ok ? w.balances : w.balancesNot}
        </p>
      )}
      {(supply.isError || (chain.isSuccess && rpcUrl === null)) && <p className="decline">{w.unread}</p>}
    </Card>
  );
}

function Retired(props: { id: string; meta: Unpacked; tx: string; who: string | null }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const { id, meta, tx, who } = props;
  const chain = useQuery(chainQuery);
  const rpcUrl = rpcUrlOf(chain.data);
  const query = useQuery({
    queryKey: ["retirement", rpcUrl, tx, id],
    queryFn: () => readRetirements(chain.data!, rpcUrl!, tx as HexString, id),
    enabled: rpcUrl !== null,
    retry: false,
    structuralSharing: false,
  });
  if (query.isError)
    return (
      <Card title={w.certified}>
        <p className="decline">{w.unread}</p>
      </Card>
    );
  if (!query.data) return <Skeleton height="12rem" />;
  const found = query.data.filter((one) => who === null || one.beneficiary.toLowerCase() === who.toLowerCase());
  return (
    <Card title={w.certified}>
      <p className="note">{w.certifiedLead}</p>
      {found.map((one) => (
        <div key={`${one.beneficiary}${one.amount}${one.purposeHash}`}>
          <p className="big">{amountText(meta.kind, Number(one.amount), language)}</p>
          <Facts
            items={[
              [t.certificate.beneficiary, <code key="b">{one.beneficiary}</code>],
              [w.from, <code key="a">{one.account}</code>],
              [w.purposeHash, <code key="p">{one.purposeHash}</code>],
              [
                t.certificate.tx,
                <Link key="t" href={`/transactions/${tx}`} className="mono">
                  {tx}
                </Link>,
              ],
            ]}
          />
        </div>
      ))}
      <p>
        <Badge tone={found.length ? "good" : "bad"}>{found.length ? "✓" : "✗"}</Badge>{" "}
        {found.length ? w.holds : w.holdsNot}
      </p>
    </Card>
  );
}

function History({ id, meta }: { id: string; meta: Unpacked }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const chain = useQuery(chainQuery);
  const { query, items: events = [] } = usePages(["certificate-history", id], (cursor, signal) =>
    take(
      api.GET("/api/v1/certificates/{certificate_id}/history", {
        params: { path: { certificate_id: id }, query: { limit: 100, cursor } },
        signal,
      }),
    ),
  );
  const { hasNextPage, fetchNextPage, isFetchingNextPage } = query;
  const [exporting, setExporting] = useState<"csv" | "json" | null>(null);
  // a file must hold the whole history, so the pages that are left are fetched first
  useEffect(() => {
    if (exporting === null || isFetchingNextPage) return;
    if (query.isFetchNextPageError) {
      setExporting(null);
      return;
    }
    if (hasNextPage) {
      fetchNextPage();
      return;
    }
    save(exporting, id, events, chain.data!);
    setExporting(null);
  });
  return (
    <Card
      title={w.history}
      aside={
        <div className="row unprinted">
          <button type="button" disabled={!events.length} onClick={() => setExporting("csv")}>
            {w.csv}
          </button>
          {meta.kind === "certificate" && (
            <button type="button" disabled={!events.length || !chain.data} onClick={() => setExporting("json")}>
              {w.energyTag}
            </button>
          )}
        </div>
      }
    >
      {query.isError ? (
        <Failure error={query.error} retry={() => query.refetch()} />
      ) : !query.data ? (
        <Skeleton height="14rem" />
      ) : events.length === 0 ? (
        <Empty title={t.certificate.none}>{t.certificate.noneWhy}</Empty>
      ) : (
        <TableFrame label={w.history}>
          <table>
            <thead>
              <tr>
                <th>{t.certificate.at}</th>
                <th>{w.history}</th>
                <th className="num">{t.certificate.amount}</th>
                <th>{w.from}</th>
                <th>{w.to}</th>
                <th>{t.certificate.tx}</th>
              </tr>
            </thead>
            <tbody>
              {events.map((event, index) => (
                <tr key={index}>
                  <td>{times.moment(event.at)}</td>
                  <td>
                    <Badge tone={event.event === "minted" ? "good" : "plain"}>{w.event[event.event]}</Badge>
                  </td>
                  <td className="num">{amountText(meta.kind, event.amount, language)}</td>
                  <td>{event.sender ? <Hex value={event.sender} /> : "–"}</td>
                  <td>{event.receiver ? <Hex value={event.receiver} /> : "–"}</td>
                  <td>
                    <Link href={`/transactions/${event.tx_hash}`} className="mono">
                      {event.tx_hash.slice(0, 10)}…
                    </Link>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </TableFrame>
      )}
      <More query={query} />
    </Card>
  );
}

function save(kind: "csv" | "json", id: string, events: Schemas["CertificateEvent"][], chain: Schemas["ChainOut"]) {
  const name = `certificate-${id.slice(0, 12)}`;
  if (kind === "json") {
    const file = energyTag(id, events, chain.chain_id, chain.contracts.Certificates!.address);
    saveFile(`${name}-energytag.json`, "application/json", JSON.stringify(file, null, 2));
    return;
  }
  const head = ["event", "at", "amount", "sender", "receiver", "tx_hash"] as const;
  saveFile(
    `${name}.csv`,
    "text/csv",
    toCsv([[...head], ...events.map((event) => head.map((key) => event[key] ?? null))]),
  );
}
