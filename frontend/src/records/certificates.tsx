/** Certificates and credits: what the organisation holds, and every retirement anyone can check. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { useTimes, useZoneName } from "../api/queries";
import { energy, grams, type Locale } from "../format";
import { usePreferences } from "../prefs";
import { Badge, Card, Empty, Facts, Hex, Loaded, Page, TableFrame } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { Retire } from "./retire";

type Holding = Schemas["HoldingOut"];

/** kind, year-month, zone, source of a packed id are in the holding; amounts are Wh or g. */
export const amountOf = (holding: Pick<Holding, "kind">, amount: number, locale: Locale) =>
  holding.kind === "certificate" ? energy(amount, locale) : grams(amount, locale);

export default function Certificates() {
  const { text: t } = usePreferences();
  const { session, address, choose, signIn } = useWallet();
  return (
    <Page title={t.certificate.title} lead={t.certificate.lead}>
      <div className="stack">
        <Card title={t.certificate.mine}>
          {session ? (
            <Portfolio />
          ) : (
            <Empty title={t.certificate.signedOut}>
              <button type="button" className="primary" onClick={() => (address ? signIn() : choose(true))}>
                {address ? t.order.obstacle["sign-in"]("") : t.wallet.connect}
              </button>
            </Empty>
          )}
        </Card>
        <Card title={t.certificate.retirements}>
          <Retirements />
        </Card>
      </div>
    </Page>
  );
}

function Portfolio() {
  const { text: t, language } = usePreferences();
  const zoneName = useZoneName();
  const [chosen, setChosen] = useState<Holding | null>(null);
  const query = useQuery({
    queryKey: ["mine", "certificates"],
    queryFn: ({ signal }) => take(api.GET("/api/v1/certificates", { signal })),
  });
  return (
    <Loaded query={query} height="10rem">
      {(items) =>
        items.length === 0 ? (
          <Empty title={t.certificate.none}>{t.certificate.noneWhy}</Empty>
        ) : (
          <>
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
                      <td>{`${Math.floor(item.year_month / 100)}-${String(item.year_month % 100).padStart(2, "0")}`}</td>
                      <td>{zoneName(item.zone_id)}</td>
                      <td>{item.kind === "certificate" ? t.source[item.source] : "–"}</td>
                      <td className="num">{amountOf(item, item.amount, language)}</td>
                      <td className="num">{amountOf(item, item.retired, language)}</td>
                      <td>
                        <button type="button" onClick={() => setChosen(item)} disabled={item.amount === 0}>
                          {t.certificate.retire}
                        </button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableFrame>
            {chosen && <Retire holding={chosen} done={() => setChosen(null)} />}
          </>
        )
      }
    </Loaded>
  );
}

function Retirements() {
  const { text: t } = usePreferences();
  const times = useTimes();
  const query = useQuery({
    queryKey: ["retirements"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/certificates/retirements", { params: { query: { limit: 50 } }, signal }))).items,
  });
  return (
    <Loaded query={query} height="14rem">
      {(items) =>
        items.length === 0 ? (
          <Empty title={t.certificate.noRetirements}>{t.certificate.noRetirementsWhy}</Empty>
        ) : (
          <ul className="sheets">
            {items.map((item) => (
              <li key={`${item.tx_hash}${item.certificate_id}${item.beneficiary}${item.amount}`}>
                <Facts
                  items={[
                    [t.certificate.amount, `${item.amount}`],
                    [t.certificate.beneficiary, <Hex key="b" value={item.beneficiary} />],
                    [t.certificate.id, <Hex key="i" value={item.certificate_id} />],
                    [t.certificate.at, times.moment(item.at)],
                    [t.certificate.tx, <Hex key="t" value={item.tx_hash} />],
                  ]}
                />
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  );
}
