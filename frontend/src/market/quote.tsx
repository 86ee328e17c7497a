/** The bundle asked for, and what it would cost. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { energy, grams, money, share } from "../format";
import { usePreferences } from "../prefs";
import { Failure, Skeleton } from "../ui/kit";

export type Ask = Schemas["QuoteAsk"];

export function useQuote(ask: Ask | null) {
  return useQuery({
    queryKey: ["quote", ask],
    queryFn: ({ signal }) => take(api.POST("/api/v1/quotes", { body: ask!, signal })),
    enabled: ask !== null,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
}

export function QuoteView({ ask, order }: { ask: Ask; order?: string }) {
  const { text: t, language } = usePreferences();
  const query = useQuote(ask);
  if (query.isError) return <Failure error={query.error} retry={() => query.refetch()} />;
  if (!query.data) return <Skeleton height="13rem" />;
  const quote = query.data;
  if (!quote.feasible)
    return (
      <div className="decline" role="status">
        <strong>{t.quote.none}</strong>
        <p>{t.quote.noneWhy}</p>
      </div>
    );
  const less = (quote.grid_carbon_g ?? 0) - (quote.carbon_g ?? 0);
  return (
    <>
      <div className="quote" aria-live="polite" aria-busy={query.isPlaceholderData}>
        <Figure label={t.quote.cost} value={money(quote.cost_micro!, language)} unit="BWD">
          {t.quote.perUnit(money(quote.price_micro!, language))}
        </Figure>
        <Figure label={t.quote.green} value={share(quote.green_share_bps!, language)}>
          {t.quote.ofEnergy(energy(quote.energy_wh!, language))}
        </Figure>
        <Figure label={t.quote.carbon} value={grams(quote.carbon_g!, language)}>
          {less > 0 && <em>{t.quote.lessCarbon(grams(less, language))}</em>}
        </Figure>
        <Figure
          label={t.quote.saved}
          value={quote.saved_micro == null ? "–" : money(quote.saved_micro, language)}
          unit="BWD"
        >
          {t.quote.savedWhy}
        </Figure>
      </div>
      <p className="note">
        {quote.basis === "cleared" ? t.quote.cleared(quote.batch_id ?? 0) : t.quote.forecast(quote.batch_id ?? 0)}
      </p>
      {order && (
        <Link href={order} className="button primary wide">
          {t.quote.order}
        </Link>
      )}
    </>
  );
}

function Figure(props: { label: string; value: string; unit?: string; children?: React.ReactNode }) {
  return (
    <div>
      <span>{props.label}</span>
      <b>
        {props.value} {props.unit && <small>{props.unit}</small>}
      </b>
      <small>{props.children}</small>
    </div>
  );
}
