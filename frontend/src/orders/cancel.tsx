/** Taking an open order out of the book, and out of the chain's reach for good. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { usePart } from "../i18n/part";
import { useText } from "../prefs";
import { useErrorText } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { send } from "../wallet/follow";
import { words } from "./words";

export function Cancel({ order }: { order: Schemas["OrderOut"] }) {
  const t = useText();
  const w = usePart(words);
  const errorText = useErrorText();
  const client = useQueryClient();
  const { source, address, session } = useWallet();
  const [onChain, setOnChain] = useState<Schemas["Transaction"] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = async (work: () => Promise<unknown>) => {
    setProblem(null);
    try {
      await work();
      await client.invalidateQueries({ queryKey: ["mine"] });
    } catch (error) {
      setProblem(errorText(error));
    }
  };
  const cancel = () =>
    attempt(async () => {
      const params = { path: { order_hash: order.order_hash } };
      const answer = await take(api.POST("/api/v1/orders/{order_hash}/cancel", { params }));
      setOnChain(answer.transaction);
    });
  const rule = (transaction: Schemas["Transaction"]) =>
    attempt(async () => {
      await send(source!.provider, address!, transaction, w.cancelOnChain);
      setOnChain(null);
    });
  if (!session) return null;
  return (
    <>
      {order.state === "open" && (
        <p>
          <button type="button" onClick={cancel}>
            {t.order.cancel}
          </button>
        </p>
      )}
      {onChain && source && (
        <>
          <p className="note">{w.cancelOnChainWhy}</p>
          <p>
            <button type="button" onClick={() => rule(onChain)}>
              {w.cancelOnChain}
            </button>
          </p>
        </>
      )}
      {problem && <p role="alert">{problem}</p>}
    </>
  );
}
