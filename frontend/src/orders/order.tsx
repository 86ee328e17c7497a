/** One order: its stages, why it was filled there, what was delivered, its invoice. Signed out, what is public. */
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "wouter";
import { ApiError, api, type Schemas, take } from "../api/client";
import { useClassName, useTimes, useZoneName } from "../api/queries";
import { money, share, short } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { Card, Empty, Facts, Hex, Loaded, Page } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { Cancel } from "./cancel";
import { AgreementTable } from "./list";
import { StageBar } from "./stage";
import { WhyCard } from "./why-view";
import { words } from "./words";

/** What is on chain of an order; null while it has not cleared. */
export function useStory(hash: string) {
  return useQuery({
    queryKey: ["story", hash],
    queryFn: async ({ signal }) => {
      try {
        const params = { path: { order_hash: hash } };
        return await take(api.GET("/api/v1/cleared-orders/{order_hash}", { params, signal }));
      } catch (error) {
        if (error instanceof ApiError && error.problem.status === 404) return null;
        throw error;
      }
    },
    refetchInterval: 10_000,
  });
}

/** All agreements of an order. */
export function useRuns(hash: string) {
  return useQuery({
    queryKey: ["runs", hash],
    queryFn: async ({ signal }) => {
      const params = { query: { order_hash: hash, limit: 500 } };
      return (await take(api.GET("/api/v1/agreements", { params, signal }))).items;
    },
  });
}

export default function Order() {
  const { text: t } = usePreferences();
  const w = usePart(words);
  const { hash = "" } = useParams();
  const { session, address, choose, signIn } = useWallet();
  const story = useStory(hash);
  const own = useQuery({
    queryKey: ["mine", "order", hash],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/orders/{order_hash}", { params: { path: { order_hash: hash } }, signal })),
    enabled: session !== null && story.data === null,
    refetchInterval: 5_000,
    retry: false,
  });
  return (
    <Page title={`${t.order.order} ${short(hash)}`}>
      <Loaded query={story} height="24rem">
        {(found) => {
          if (found) return <Detail order={found.order} stages={found.stages} />;
          if (session)
            return (
              <Loaded query={own} height="24rem">
                {(order) => <Detail order={order} stages={[]} />}
              </Loaded>
            );
          return (
            <Card>
              <Empty title={t.order.signedOut}>
                <button type="button" className="primary" onClick={() => (address ? signIn() : choose(true))}>
                  {address ? t.order.obstacle["sign-in"]("") : t.wallet.connect}
                </button>
              </Empty>
            </Card>
          );
        }}
      </Loaded>
      {story.data && !session && <p className="note">{w.publicView}</p>}
    </Page>
  );
}

function Detail({ order, stages }: { order: Schemas["OrderOut"]; stages: Schemas["StageOut"][] }) {
  const { text: t, language } = usePreferences();
  const w = usePart(words);
  const times = useTimes();
  const zoneName = useZoneName();
  const className = useClassName();
  const runs = useRuns(order.order_hash);
  const cleared = order.batch_ids.length > 0;
  return (
    <div className="stack">
      <Card>
        <StageBar state={order.state} stages={stages} />
        <p className="note">{t.order.stateWhy[order.state]}</p>
        <Facts
          items={[
            [t.order.window, `${times.moment(order.start)} – ${times.moment(order.deadline)}`],
            [t.market.class, className(order.class_id)],
            [t.market.zone, order.zones.map(zoneName).join(", ")],
            ["VCU", `${order.lanes_filled} / ${order.lanes}`],
            [t.order.limitShort, money(order.limit_price, language)],
            [t.quote.cost, money(order.cost_micro, language)],
            [t.quote.leastGreen, share(order.min_green_bps, language)],
            [t.order.digest, <Hex key="hash" value={order.order_hash} />],
          ]}
        />
        <Cancel order={order} />
        {cleared && (
          <Link className="button" href={`/invoices/${order.order_hash}`}>
            {w.invoice}
          </Link>
        )}
      </Card>
      {cleared && (
        <Loaded query={runs} height="16rem">
          {(items) => <WhyCard order={order} runs={items} />}
        </Loaded>
      )}
      <Card title={t.agreement.of}>
        <AgreementTable orderHash={order.order_hash} />
      </Card>
    </div>
  );
}
