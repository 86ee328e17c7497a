/** Signed offers of certificates and credits: take one, or take one's own off. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { money } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { Problem, useAct } from "../ui/act";
import { Badge, Card, Empty, Loaded, TableFrame } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { send } from "../wallet/follow";
import { amountText, monthText } from "./id";
import { words } from "./words";

export function Listings() {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const client = useQueryClient();
  const { session, source, address } = useWallet();
  const { busy, problem, act } = useAct();
  const query = useQuery({
    queryKey: ["listings"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/listings", { params: { query: { state: "open", limit: 200 } }, signal }))).items,
  });
  const deal = (row: Schemas["ListingOut"]) =>
    act(async () => {
      const params = { path: { offer_hash: row.offer_hash } };
      if (row.maker === address) {
        const off = await take(api.POST("/api/v1/listings/{offer_hash}/cancel", { params }));
        await send(source!.provider, address, off, w.take);
      } else {
        const body = { account: address!, amount: row.left };
        const draft = await take(api.POST("/api/v1/listings/{offer_hash}/fill", { params, body }));
        await send(source!.provider, address!, draft.transaction, row.side === "sell" ? w.buy : w.deliver);
      }
      await client.invalidateQueries();
    });
  return (
    <Card title={w.tabs.market}>
      <Loaded query={query} height="14rem">
        {(items) =>
          items.length === 0 ? (
            <Empty title={w.noListings}>{w.noListingsWhy}</Empty>
          ) : (
            <TableFrame label={w.tabs.market}>
              <table>
                <thead>
                  <tr>
                    <th>{t.certificate.kind}</th>
                    <th>{t.certificate.month}</th>
                    <th>{t.market.zone}</th>
                    <th>{t.certificate.source}</th>
                    <th className="num">{w.left}</th>
                    <th className="num">{w.cost}</th>
                    <th>{w.until}</th>
                    <td />
                  </tr>
                </thead>
                <tbody>
                  {items.map((row) => (
                    <tr key={row.offer_hash}>
                      <td>
                        <Link href={`/certificates/${row.certificate_id}`}>{t.certificate.kinds[row.kind]}</Link>{" "}
                        <Badge>{w.side[row.side]}</Badge>
                      </td>
                      <td>{monthText(row.year_month)}</td>
                      <td>{zoneName(row.zone_id)}</td>
                      <td>{row.kind === "certificate" ? (t.source[row.source] ?? t.source[7]) : "–"}</td>
                      <td className="num">{amountText(row.kind, row.left, language)}</td>
                      <td className="num">
                        {money(row.price_micro_per_thousand, language)} / {row.unit === "Wh" ? "kWh" : "kg"}
                      </td>
                      <td>{times.moment(row.expiry)}</td>
                      <td className="num">
                        <button type="button" disabled={busy || !session || !source} onClick={() => deal(row)}>
                          {row.maker === address ? w.take : row.side === "sell" ? w.buy : w.deliver}
                        </button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableFrame>
          )
        }
      </Loaded>
      <Problem text={problem} />
      <p className="note">{w.needsDeposit}</p>
    </Card>
  );
}
