/** The organisation's orders; without a session, the public agreements of the last batch. */
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "wouter";
import { api, take } from "../api/client";
import { batchesQuery, useTimes, useZoneName } from "../api/queries";
import { money, short } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { Badge, Card, Empty, Failure, Hex, Loaded, Page, Skeleton, TableFrame } from "../ui/kit";
import { More, usePages } from "../ui/pages";
import { useWallet } from "../wallet/context";
import { words } from "./words";

export default function Orders() {
  const { text: t } = usePreferences();
  const w = usePart(words);
  const { session, address, choose, signIn } = useWallet();
  const account = new URLSearchParams(useSearch()).get("account")?.toLowerCase() ?? "";
  return (
    <Page title={t.order.title} lead={t.order.lead}>
      <div className="stack">
        {/^0x[0-9a-f]{40}$/.test(account) && (
          <Card title={w.account(short(account))}>
            <AgreementTable maker={account} />
          </Card>
        )}
        <Card
          title={t.order.mine}
          aside={
            <Link href="/" className="button">
              {t.order.new}
            </Link>
          }
        >
          {session ? (
            <Mine />
          ) : (
            <Empty title={t.order.signedOut}>
              <button type="button" className="primary" onClick={() => (address ? signIn() : choose(true))}>
                {address ? t.order.obstacle["sign-in"]("") : t.wallet.connect}
              </button>
            </Empty>
          )}
        </Card>
        <Card title={t.agreement.all}>
          <Agreements />
        </Card>
      </div>
    </Page>
  );
}

function Mine() {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const query = useQuery({
    queryKey: ["mine", "orders"],
    queryFn: async ({ signal }) => (await take(api.GET("/api/v1/orders", { signal }))).items,
    refetchInterval: 10_000,
  });
  return (
    <Loaded query={query} height="10rem">
      {(items) =>
        items.length === 0 ? (
          <Empty title={t.order.none}>{t.order.noneWhy}</Empty>
        ) : (
          <TableFrame label={t.order.mine}>
            <table>
              <thead>
                <tr>
                  <th>{t.order.order}</th>
                  <th>{t.order.window}</th>
                  <th className="num">VCU</th>
                  <th className="num">{t.order.limitShort}</th>
                  <th className="num">{t.quote.cost}</th>
                  <th>{t.order.stage}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((order) => (
                  <tr key={order.order_hash}>
                    <td>
                      <Link href={`/orders/${order.order_hash}`} className="mono">
                        {order.order_hash.slice(0, 10)}…
                      </Link>
                    </td>
                    <td>
                      {times.moment(order.start)} – {times.hour(order.deadline)}
                    </td>
                    <td className="num">
                      {order.lanes_filled} / {order.lanes}
                    </td>
                    <td className="num">{money(order.limit_price, language)}</td>
                    <td className="num">{money(order.cost_micro, language)}</td>
                    <td>
                      <Badge tone={tone(order.state)}>{t.order.state[order.state]}</Badge>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableFrame>
        )
      }
    </Loaded>
  );
}

const tone = (state: string) =>
  state === "settled" || state === "delivering" || state === "cleared"
    ? "good"
    : ["cancelled", "expired", "refunded"].includes(state)
      ? "warn"
      : "plain";

function Agreements() {
  const batches = useQuery(batchesQuery);
  const { text: t } = usePreferences();
  return (
    <Loaded query={batches} height="16rem">
      {(page) =>
        page.items[0] ? (
          <AgreementTable batchId={page.items[0].batch_id} />
        ) : (
          <Empty title={t.agreement.none}>{t.market.nothingWhy}</Empty>
        )
      }
    </Loaded>
  );
}

export function AgreementTable(props: { batchId?: number; orderHash?: string; maker?: string }) {
  const { batchId, orderHash, maker } = props;
  const { text: t } = usePreferences();
  const times = useTimes();
  const zoneName = useZoneName();
  const { query, items: rows } = usePages(["agreements", batchId, orderHash, maker], (cursor, signal) =>
    take(
      api.GET("/api/v1/agreements", {
        params: { query: { limit: 50, cursor, batch_id: batchId, order_hash: orderHash, maker } },
        signal,
      }),
    ),
  );
  if (query.isError) return <Failure error={query.error} retry={() => query.refetch()} />;
  if (!rows) return <Skeleton height="16rem" />;
  if (!rows.length) return <Empty title={t.agreement.none}>{t.agreement.noneWhy}</Empty>;
  return (
    <>
      <TableFrame label={t.agreement.all}>
        <table>
          <thead>
            <tr>
              <th>{t.agreement.agreement}</th>
              <th>{t.agreement.buyer}</th>
              <th>{t.market.zone}</th>
              <th>{t.agreement.mode}</th>
              <th>{t.order.window}</th>
              <th className="num">VCU</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.agreement}>
                <td>
                  <Link href={`/agreements/${row.agreement}`}>{row.agreement}</Link>
                </td>
                <td>
                  <Hex value={row.maker} />
                </td>
                <td>{zoneName(row.zone_id)}</td>
                <td>
                  <Badge tone={row.mode ? "good" : "plain"}>{row.mode ? t.market.green : t.market.grey}</Badge>
                </td>
                <td>
                  {times.moment(row.start)} – {times.hour(row.end)}
                </td>
                <td className="num">{row.lanes}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </TableFrame>
      <More query={query} />
    </>
  );
}
