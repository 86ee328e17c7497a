/** The order composer: the terms, exactly what is signed, and one button that names what is missing. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useSearch } from "wouter";
import { chainQuery, productsQuery, useClassName, useTimes, useZoneName } from "../api/queries";
import { money, parseDecimal, share } from "../format";
import { askOf, readState, writeState } from "../market/model";
import { QuoteView, useQuote } from "../market/quote";
import { usePreferences } from "../prefs";
import { Card, Empty, Facts, Field, Loaded, Page } from "../ui/kit";
import { suggestedLimit } from "./obstacle";
import { Placing } from "./placing";

export default function Composer() {
  const { text: t } = usePreferences();
  const chain = useQuery(chainQuery);
  const products = useQuery(productsQuery);
  return (
    <Page title={t.order.compose} lead={t.order.composeLead}>
      <Loaded query={products} height="30rem">
        {(items) => (
          <Loaded query={chain} height="30rem">
            {(data) => <Form chain={data} slotSeconds={items[0]?.slot_seconds ?? 900} />}
          </Loaded>
        )}
      </Loaded>
    </Page>
  );
}

function Form({ chain, slotSeconds }: { chain: Parameters<typeof Placing>[0]["chain"]; slotSeconds: number }) {
  const { text: t, language } = usePreferences();
  const times = useTimes();
  const zoneName = useZoneName();
  const className = useClassName();
  const state = readState(useSearch(), Math.round(86_400 / slotSeconds));
  const [typed, setTyped] = useState<string | null>(null);
  const ask = state.day === null ? null : askOf(state, state.day, slotSeconds);
  const quote = useQuote(ask);
  if (!ask || state.day === null)
    return (
      <Card>
        <Empty title={t.order.noWindow}>
          <Link href="/">{t.order.toMarket}</Link>
        </Empty>
      </Card>
    );
  const price = quote.data?.price_micro ?? 0;
  const parsed = typed === null ? null : parseDecimal(typed);
  const wrong = typed !== null && (parsed === null || parsed <= 0 || parsed > 1e9);
  const limit = parsed === null ? suggestedLimit(price) : Math.round(parsed * 1e6);
  return (
    <div className="halves">
      <Card title={t.order.terms} aside={<Link href={`/?${writeState(state)}`}>{t.order.change}</Link>}>
        <Facts
          items={[
            [t.market.class, className(state.classId)],
            [t.market.zone, state.zone === null ? t.market.anyZone : zoneName(state.zone)],
            [t.order.window, `${times.day(ask.start)} ${times.hour(ask.start)} – ${times.hour(ask.deadline)}`],
            [t.quote.lanes, state.lanes],
            [t.quote.run, t.quote.hours((ask.duration_slots * slotSeconds) / 3600)],
            [t.quote.leastGreen, share(state.greenBps, language)],
          ]}
        />
        <hr />
        <QuoteView ask={ask} />
        <hr />
        <Field label={t.order.limit} hint={wrong ? t.order.limitWrong : t.order.limitHint(money(price, language))}>
          {(id) => (
            <input
              id={id}
              inputMode="decimal"
              aria-invalid={wrong}
              value={typed ?? String(limit / 1e6)}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
      </Card>
      <Placing
        chain={chain}
        ask={ask}
        limit={wrong ? 0 : limit}
        price={price}
        feasible={Boolean(quote.data?.feasible)}
        raise={() => setTyped(String(suggestedLimit(price) / 1e6))}
      />
    </div>
  );
}
