/** Retiring for a beneficiary: final, so it says so. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, take } from "../api/client";
import { usePreferences } from "../prefs";
import { Field, useErrorText } from "../ui/kit";
import { useWallet } from "../wallet/context";
import { send } from "../wallet/follow";

export function Retire({ holding, done }: { holding: Schemas["HoldingOut"]; done: () => void }) {
  const { text: t } = usePreferences();
  const words = useErrorText();
  const client = useQueryClient();
  const { source, address } = useWallet();
  const [amount, setAmount] = useState(String(holding.amount));
  const [beneficiary, setBeneficiary] = useState(holding.account);
  const [purpose, setPurpose] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const valid = /^[0-9]{1,18}$/.test(amount) && Number(amount) >= 1 && Number(amount) <= holding.amount;
  const retire = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const body = { certificate_id: holding.certificate_id, amount: Number(amount), beneficiary, purpose };
      const transaction = await take(api.POST("/api/v1/certificates/retirements/transaction", { body }));
      await send(source!.provider, address!, transaction, t.certificate.retire);
      await client.invalidateQueries();
      done();
    } catch (error) {
      setProblem(words(error));
    } finally {
      setBusy(false);
    }
  };
  const unit = holding.unit;
  return (
    <form className="bundle retire" onSubmit={retire}>
      <Field
        label={`${t.certificate.amount} (${unit})`}
        hint={valid ? undefined : t.certificate.amountWrong(holding.amount)}
      >
        {(id) => (
          <input
            id={id}
            inputMode="numeric"
            value={amount}
            aria-invalid={!valid}
            onChange={(event) => setAmount(event.target.value)}
          />
        )}
      </Field>
      <Field label={t.certificate.beneficiary}>
        {(id) => <input id={id} value={beneficiary} onChange={(event) => setBeneficiary(event.target.value.trim())} />}
      </Field>
      <Field label={t.certificate.purpose}>
        {(id) => <input id={id} maxLength={500} value={purpose} onChange={(event) => setPurpose(event.target.value)} />}
      </Field>
      <p className="note">{t.certificate.final}</p>
      <div className="row">
        <button type="submit" className="primary" disabled={busy || !valid || !source}>
          {busy ? t.order.working : t.certificate.retire}
        </button>
        <button type="button" onClick={done}>
          {t.action.close}
        </button>
      </div>
      {problem && (
        <p className="decline" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
