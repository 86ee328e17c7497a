/** The signing half of the composer. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, type Schemas, take } from "../api/client";
import { money } from "../format";
import type { Ask } from "../market/quote";
import { usePreferences } from "../prefs";
import { Card, useErrorText } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { send } from "../wallet/follow";
import { call, fundsOf } from "../wallet/money";
import { neededFor, type Obstacle, obstacleOf } from "./obstacle";

interface Props {
  chain: Schemas["ChainOut"];
  ask: Ask;
  limit: number;
  price: number;
  feasible: boolean;
  raise: () => void;
}

export function Placing({ chain, ask, limit, price, feasible, raise }: Props) {
  const { text: t, language } = usePreferences();
  const words = useErrorText();
  const wallet = useWallet();
  const client = useQueryClient();
  const [, navigate] = useLocation();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const { address, source } = wallet;
  const onChain = wallet.chainId === chain.chain_id;
  const funds = useQuery({
    queryKey: ["mine", "funds", address],
    queryFn: () => fundsOf(chain, source!.provider, address!),
    enabled: Boolean(source && address && onChain),
    structuralSharing: false,
  });
  const terms = { ...ask, maker: address ?? "", limit_price: limit };
  const draft = useQuery({
    queryKey: ["mine", "draft", terms],
    queryFn: () => take(api.POST("/api/v1/orders/typed-data", { body: terms })),
    enabled: Boolean(wallet.session && address && limit > 0),
    staleTime: 60_000,
  });
  const needed = neededFor(limit, ask.lanes, ask.duration_slots);
  const obstacle = obstacleOf({
    now: chain.timestamp,
    deadline: ask.deadline,
    feasible,
    connected: address !== null,
    walletChain: wallet.chainId,
    chain: chain.chain_id,
    signedIn: wallet.session !== null,
    limit,
    price,
    needed,
    available: funds.data?.available ?? 0n,
    inWallet: funds.data?.inWallet ?? 0n,
    approved: funds.data?.approved ?? 0n,
  });
  const missing = needed - (funds.data?.available ?? 0n);
  const shown = money(missing > 0n ? missing : 0n, language);
  const transact = (name: string, method: string, args: unknown[]) =>
    send(source!.provider, address!, call(chain, name, method, args), t.order.obstacle[obstacle](shown));
  const treasury = chain.contracts.Treasury!.address;

  const actions: Record<Obstacle, (() => unknown) | null> = {
    closed: null,
    infeasible: null,
    connect: () => wallet.choose(true),
    "wrong-chain": () => wallet.switchChain(chain.chain_id),
    "sign-in": () => wallet.signIn(),
    "below-market": raise,
    "no-funds": source?.dev ? () => transact("DevToken", "mint", [address, missing]) : null,
    approve: () => transact("DevToken", "approve", [treasury, missing]),
    deposit: () => transact("Treasury", "deposit", [address, missing]),
    ready: draft.data ? () => place(draft.data) : null,
  };
  const place = async ({ typed_data, message }: Schemas["TypedData"]) => {
    const params = [address, JSON.stringify(typed_data)];
    const signature = (await source!.provider.request({ method: "eth_signTypedData_v4", params })) as string;
    const body = { order: message as unknown as Schemas["SignedOrder"], signature };
    const order = await take(api.POST("/api/v1/orders", { body }));
    await client.invalidateQueries({ queryKey: ["mine"] });
    navigate(`/orders/${order.order_hash}`);
  };
  const act = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await actions[obstacle]?.();
      await funds.refetch();
    } catch (error) {
      setProblem(words(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title={t.order.sign}>
      <p className="note">{t.order.signWhy}</p>
      <dl className="signed-terms">
        {Object.entries(draft.data?.message ?? terms).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd className="mono">{Array.isArray(value) ? value.join(", ") : String(value ?? "–") || "–"}</dd>
          </div>
        ))}
      </dl>
      {draft.data && (
        <p className="note">
          {t.order.digest} <code>{draft.data.digest}</code>
        </p>
      )}
      {draft.isError && <p role="alert">{words(draft.error)}</p>}
      <p className="note">
        {t.order.needs(money(needed, language))}
        {funds.data && ` · ${t.order.has(money(funds.data.available, language))}`}
      </p>
      <button
        type="button"
        className="primary wide"
        disabled={busy || actions[obstacle] === null || (address !== null && onChain && funds.isPending)}
        aria-busy={busy}
        onClick={act}
      >
        {busy ? t.order.working : t.order.obstacle[obstacle](shown)}
      </button>
      {problem && (
        <p className="decline" role="alert">
          {problem}
        </p>
      )}
    </Card>
  );
}
