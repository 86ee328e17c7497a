/** Providers: sites, what they earned, and their devices. */
import { useQuery } from "@tanstack/react-query";
import { api, take } from "../api/client";
import { useZoneName } from "../api/queries";
import { decimal, money, watts } from "../format";
import { usePreferences } from "../prefs";
import { Card, Empty, Hex, Loaded, Page, TableFrame } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { Devices } from "./devices";

export default function Provider() {
  const { text: t, language } = usePreferences();
  const zoneName = useZoneName();
  const { session } = useWallet();
  const sites = useQuery({
    queryKey: ["sites"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/sites", { params: { query: { limit: 200 } }, signal }))).items,
  });
  return (
    <Page title={t.provider.title} lead={t.provider.lead}>
      <div className="stack">
        <Card title={t.provider.sites}>
          <Loaded query={sites} height="12rem">
            {(items) =>
              items.length === 0 ? (
                <Empty title={t.provider.none} />
              ) : (
                <TableFrame label={t.provider.sites}>
                  <table>
                    <thead>
                      <tr>
                        <th>{t.agreement.site}</th>
                        <th>{t.market.zone}</th>
                        <th>{t.agreement.seller}</th>
                        <th className="num">{t.asset.nameplate}</th>
                      </tr>
                    </thead>
                    <tbody>
                      {items.map((site) => (
                        <tr key={site.site_id}>
                          <td>#{site.site_id}</td>
                          <td>{zoneName(site.zone_id)}</td>
                          <td>
                            <Hex value={site.owner} />
                          </td>
                          <td className="num">{watts(site.nameplate_w, language)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </TableFrame>
              )
            }
          </Loaded>
        </Card>
        {session && (
          <Card title={t.provider.deliveries}>
            <Deliveries />
          </Card>
        )}
        <Card title={t.asset.devices}>
          <Devices kinds={[0, 1]} />
        </Card>
      </div>
    </Page>
  );
}

function Deliveries() {
  const { text: t, language } = usePreferences();
  const query = useQuery({
    queryKey: ["mine", "deliveries", "seller"],
    queryFn: async ({ signal }) =>
      (await take(api.GET("/api/v1/deliveries", { params: { query: { side: "seller" } }, signal }))).items,
  });
  return (
    <Loaded query={query} height="10rem">
      {(items) =>
        items.length === 0 ? (
          <Empty title={t.agreement.none}>{t.provider.noneWhy}</Empty>
        ) : (
          <TableFrame label={t.provider.deliveries}>
            <table>
              <thead>
                <tr>
                  <th>{t.agreement.agreement}</th>
                  <th className="num">{t.agreement.ordered}</th>
                  <th className="num">{t.agreement.delivered}</th>
                  <th className="num">{t.agreement.compute}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((row) => (
                  <tr key={row.agreement}>
                    <td>{row.agreement}</td>
                    <td className="num">{row.ordered_vcu_slots}</td>
                    <td className="num">{decimal(row.delivered_milli_vcu_slots / 1000, language, 3)}</td>
                    <td className="num">{money(row.compute_micro, language)}</td>
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
