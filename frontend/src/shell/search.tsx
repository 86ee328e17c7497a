/** Finds an order, agreement, transaction, certificate, report or account by its whole name. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { short } from "../format";
import { useText } from "../prefs";
import { Failure, Field } from "../ui/kit";
import { Dialog } from "./dialog";

type Found = Schemas["SearchHit"];

const hrefOf = (hit: Found): string =>
  ({
    order: `/orders/${hit.id}`,
    agreement: `/agreements/${hit.id}`,
    transaction: `/transactions/${hit.id}`,
    certificate: `/certificates/${hit.id}`,
    account: `/orders?account=${hit.id}`,
    report: `/evidence?start=${hit.start}`,
  })[hit.kind];

export default function SearchDialog({ close }: { close: () => void }) {
  const t = useText();
  const [text, setText] = useState("");
  const q = text.trim().toLowerCase();
  const query = useQuery({
    queryKey: ["search", q],
    queryFn: ({ signal }) => take(api.GET("/api/v1/search", { params: { query: { q } }, signal })),
    enabled: q.length > 0 && q.length <= 100,
  });
  return (
    <Dialog title={t.search.title} close={close}>
      <Field label={t.search.label} hint={t.search.hint}>
        {(id) => <input id={id} type="search" value={text} onChange={(event) => setText(event.target.value)} />}
      </Field>
      {query.isError && <Failure error={query.error} retry={() => query.refetch()} />}
      <ul className="sheets" aria-live="polite">
        {query.data?.map((hit) => (
          <li key={hit.kind + hit.id}>
            <Link href={hrefOf(hit)} onClick={close}>
              {t.search.kind[hit.kind]} <span className="mono">{short(hit.id)}</span>
            </Link>
          </li>
        ))}
        {query.data?.length === 0 && <li>{t.search.none}</li>}
      </ul>
    </Dialog>
  );
}
