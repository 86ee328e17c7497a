/** Transfer, sell or retire a holding. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { chainQuery } from "../api/queries";
import { parseDecimal } from "../format";
import { usePart } from "../i18n/part";
import { usePreferences } from "../prefs";
import { Problem, useAct } from "../ui/act";
import { Field, Segments } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { send } from "../wallet/follow";
import { call, read } from "../wallet/money";
import { words } from "./words";

type Holding = Schemas["HoldingOut"];
const DEEDS = ["transfer", "sell", "retire"] as const;
type Deed = (typeof DEEDS)[number];
const ACCOUNT = /^0x[0-9a-fA-F]{40}$/;

export function Actions({ holding }: { holding: Holding }) {
  const { text: t } = usePreferences();
  const w = usePart(words);
  const client = useQueryClient();
  const { source, address } = useWallet();
  const chain = useQuery(chainQuery);
  const { busy, problem, act } = useAct();
  const [deed, setDeed] = useState<Deed>("retire");
  const [amount, setAmount] = useState(String(holding.amount));
  const [receiver, setReceiver] = useState("");
  const [beneficiary, setBeneficiary] = useState(holding.account);
  const [purpose, setPurpose] = useState("");
  const [price, setPrice] = useState("0.05");
  const [days, setDays] = useState(30);
  const units = /^[0-9]{1,15}$/.test(amount) ? Number(amount) : 0;
  const amountOk = units >= 1 && units <= holding.amount;
  const micro = Math.round((parseDecimal(price) ?? 0) * 1e6);
  const own = address === holding.account;
  const approved = useQuery({
    queryKey: ["mine", "points-approval", address],
    queryFn: () =>
      read<boolean>(chain.data!, source!.provider, "Certificates", "isApprovedForAll", [
        address,
        chain.data!.contracts.PointsMarket!.address,
      ]),
    enabled: Boolean(deed === "sell" && source && address && chain.data?.contracts.PointsMarket),
  });
  const ready: Record<Deed, boolean> = {
    transfer: ACCOUNT.test(receiver),
    sell: micro > 0,
    retire: ACCOUNT.test(beneficiary),
  };
  const transact = (tx: { to: string; data: string }, label: string) => send(source!.provider, address!, tx, label);
  const deeds: Record<Deed, () => Promise<unknown>> = {
    transfer: () => {
      const args = [holding.account, receiver, BigInt(holding.certificate_id), BigInt(units), "0x"];
      return transact(call(chain.data!, "Certificates", "safeTransferFrom", args), w.do.transfer);
    },
    retire: async () => {
      const body = { certificate_id: holding.certificate_id, amount: units, beneficiary, purpose };
      const transaction = await take(api.POST("/api/v1/certificates/retirements/transaction", { body }));
      return transact(transaction, w.do.retire);
    },
    sell: async () => {
      if (!approved.data) {
        await transact(await take(api.POST("/api/v1/listings/approval")), w.approve);
        await approved.refetch();
        return;
      }
      const terms = {
        maker: address!,
        side: "sell" as const,
        certificate_id: holding.certificate_id,
        amount: units,
        price_micro_per_thousand: micro,
        expiry: chain.data!.timestamp + days * 86_400,
      };
      const draft = await take(api.POST("/api/v1/listings/typed-data", { body: terms }));
      const params = [address, JSON.stringify(draft.typed_data)];
      const signature = (await source!.provider.request({ method: "eth_signTypedData_v4", params })) as string;
      const offer = draft.message as unknown as Schemas["SignedListing"];
      return take(api.POST("/api/v1/listings", { body: { offer, signature } }));
    },
  };
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    await act(deeds[deed]);
    await client.invalidateQueries();
  };
  const label = deed === "sell" ? (approved.data ? w.sign : w.approve) : w.do[deed];
  return (
    <form className="bundle retire" onSubmit={submit}>
      <Segments label={w.view} value={deed} options={DEEDS.map((one) => [one, w.do[one]])} onChange={setDeed} />
      <Field
        label={`${t.certificate.amount} (${holding.unit})`}
        hint={amountOk ? undefined : t.certificate.amountWrong(holding.amount)}
      >
        {(id) => (
          <input
            id={id}
            inputMode="numeric"
            value={amount}
            aria-invalid={!amountOk}
            onChange={(event) => setAmount(event.target.value.trim())}
          />
        )}
      </Field>
      {deed === "transfer" && (
        <Field label={w.to} hint={receiver && !ready.transfer ? w.toWrong : undefined}>
          {(id) => (
            <input
              id={id}
              value={receiver}
              placeholder="0x…"
              aria-invalid={receiver !== "" && !ready.transfer}
              onChange={(event) => setReceiver(event.target.value.trim())}
            />
          )}
        </Field>
      )}
      {deed === "sell" && (
        <div className="when">
          <Field label={w.price[holding.unit]} hint={ready.sell ? undefined : w.priceWrong}>
            {(id) => (
              <input
                id={id}
                inputMode="decimal"
                value={price}
                aria-invalid={!ready.sell}
                onChange={(event) => setPrice(event.target.value)}
              />
            )}
          </Field>
          <Field label={w.days}>
            {(id) => (
              <input
                id={id}
                type="number"
                min={1}
                max={365}
                value={days}
                onChange={(event) => setDays(Math.min(365, Math.max(1, event.target.valueAsNumber || 1)))}
              />
            )}
          </Field>
        </div>
      )}
      {deed === "retire" && (
        <>
          <Field label={t.certificate.beneficiary} hint={ready.retire ? undefined : w.toWrong}>
            {(id) => (
              <input
                id={id}
                value={beneficiary}
                aria-invalid={!ready.retire}
                onChange={(event) => setBeneficiary(event.target.value.trim())}
              />
            )}
          </Field>
          <Field label={t.certificate.purpose}>
            {(id) => (
              <input id={id} maxLength={500} value={purpose} onChange={(event) => setPurpose(event.target.value)} />
            )}
          </Field>
        </>
      )}
      <p className="note">{deed === "retire" ? t.certificate.final : deed === "sell" ? w.sellWhy : w.transferWhy}</p>
      <button
        type="submit"
        className="primary"
        disabled={busy || !amountOk || !ready[deed] || !source || !own || !chain.data}
      >
        {busy ? t.order.working : label}
      </button>
      <Problem text={problem} />
    </form>
  );
}
