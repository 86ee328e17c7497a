/** One order of the organisation. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useParams } from "wouter";
import { api, take } from "../api/client";
import { useClassName, useTimes, useZoneName } from "../api/queries";
import { money, share, short } from "../format";
import { usePreferences } from "../prefs";
import { Card, Empty, Facts, Hex, Loaded, Page, useErrorText } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { AgreementTable } from "./list";
import { StageBar } from "./stage";

export default function Order() {
  const { text: t, language } = usePreferences();
  const { hash = "" } = useParams();
  const times = useTimes();
  const zoneName = useZoneName();
  const className = useClassName();
  const words = useErrorText();
  const client = useQueryClient();
  const { session, choose } = useWallet();
  const [problem, setProblem] = useState<string | null>(null);
  const query = useQuery({
    queryKey: ["mine", "order", hash],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/orders/{order_hash}", { params: { path: { order_hash: hash } }, signal })),
    enabled: session !== null,
    refetchInterval: 5_000,
  });
  const cancel = async () => {
    setProblem(null);
    try {
      await take(api.POST("/api/v1/orders/{order_hash}/cancel", { params: { path: { order_hash: hash } } }));
      await client.invalidateQueries({ queryKey: ["mine"] });
    } catch (error) {
      setProblem(words(error));
    }
  };
  if (!session)
    return (
      <Page title={`${t.order.order} ${short(hash)}`}>
        <Card>
          <Empty title={t.order.signedOut}>
            <button type="button" className="primary" onClick={() => choose(true)}>
              {t.wallet.connect}
            </button>
          </Empty>
        </Card>
      </Page>
    );
  return (
    <Page title={`${t.order.order} ${short(hash)}`}>
      <Loaded query={query} height="24rem">
        {(order) => (
          <div className="stack">
            <Card>
              <StageBar state={order.state} />
              <p className="note">{t.order.stateWhy[order.state]}</p>
              <Facts
                items={[
                  [t.order.window, `${times.moment(order.start)} – ${times.hour(order.deadline)}`],
                  [t.market.class, className(order.class_id)],
                  [t.market.zone, order.zones.map(zoneName).join(", ")],
                  ["VCU", `${order.lanes_filled} / ${order.lanes}`],
                  [t.order.limitShort, money(order.limit_price, language)],
                  [t.quote.cost, money(order.cost_micro, language)],
                  [t.quote.leastGreen, share(order.min_green_bps, language)],
                  [t.order.digest, <Hex key="hash" value={order.order_hash} />],
                ]}
              />
              {order.state === "open" && (
                <p>
                  <button type="button" onClick={cancel}>
                    {t.order.cancel}
                  </button>
                </p>
              )}
              {problem && <p role="alert">{problem}</p>}
            </Card>
            <Card title={t.agreement.of}>
              <AgreementTable orderHash={hash} />
            </Card>
          </div>
        )}
      </Loaded>
    </Page>
  );
}
