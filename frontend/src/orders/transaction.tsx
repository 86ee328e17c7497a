/** What one transaction did: its contract events. */
import { useQuery } from "@tanstack/react-query";
import { useParams } from "wouter";
import { api, take } from "../api/client";
import { useTimes } from "../api/queries";
import { short } from "../format";
import { usePart } from "../i18n/part";
import { Card, Loaded, Page } from "../ui/kit";
import { words } from "./words";

export default function TransactionPage() {
  const w = usePart(words);
  const times = useTimes();
  const { hash = "" } = useParams();
  const query = useQuery({
    queryKey: ["transaction", hash],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/transactions/{tx_hash}", { params: { path: { tx_hash: hash } }, signal })),
  });
  return (
    <Page title={`${w.tx} ${short(hash)}`}>
      <Card title={w.events}>
        <p className="mono">{hash}</p>
        <Loaded query={query} height="16rem">
          {(events) => (
            <ul className="sheets">
              {events.map((event) => (
                <li key={event.id}>
                  <b>
                    {event.contract}.{event.name}
                  </b>{" "}
                  <small>{times.moment(event.at)}</small>
                  <dl className="signed-terms">
                    {Object.entries(event.arguments).map(([name, value]) => (
                      <div key={name}>
                        <dt>{name}</dt>
                        <dd className="mono">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
                      </div>
                    ))}
                  </dl>
                </li>
              ))}
            </ul>
          )}
        </Loaded>
      </Card>
    </Page>
  );
}
