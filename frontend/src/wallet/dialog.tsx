/** Choosing a wallet and an account. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { rpcUrlOf } from "../api/chain";
import { chainQuery } from "../api/queries";
import { short } from "../format";
import { useText } from "../prefs";
import { Failure, useErrorText } from "../ui/kit";
import { useWallet } from "./context";
import { devSource, discover, type Source } from "./providers";

export default function WalletDialog() {
  const t = useText();
  const words = useErrorText();
  const { choose, connect } = useWallet();
  const ref = useRef<HTMLDialogElement>(null);
  const chain = useQuery(chainQuery);
  const [sources, setSources] = useState<Source[]>([]);
  const [problem, setProblem] = useState<string | null>(null);
  const rpcUrl = rpcUrlOf(chain.data);

  useEffect(() => {
    ref.current?.showModal();
    const add = (source: Source) =>
      setSources((old) => (old.some((one) => one.id === source.id) ? old : [...old, source]));
    return discover(add);
  }, []);
  const dev = useQuery({
    queryKey: ["dev-wallet", rpcUrl],
    queryFn: () => devSource(rpcUrl!),
    enabled: rpcUrl !== null,
  });
  const accounts = useQuery({
    queryKey: ["dev-accounts", rpcUrl],
    queryFn: async () => (await dev.data!.provider.request({ method: "eth_accounts" })) as string[],
    enabled: Boolean(dev.data),
  });
  const open = async (source: Source) => {
    setProblem(null);
    try {
      const [account] = (await source.provider.request({ method: "eth_requestAccounts" })) as string[];
      if (account) await connect(source, account);
    } catch (error) {
      setProblem(words(error));
    }
  };
  return (
    <dialog ref={ref} aria-labelledby="wallet-title" onClose={() => choose(false)}>
      <header>
        <h2 id="wallet-title">{t.wallet.title}</h2>
        <button type="button" className="plain" aria-label={t.action.close} onClick={() => ref.current?.close()}>
          ×
        </button>
      </header>
      {sources.map((source) => (
        <button key={source.id} type="button" className="wide" onClick={() => open(source)}>
          {source.icon && <img src={source.icon} alt="" width="20" height="20" />}
          {source.name}
        </button>
      ))}
      {sources.length === 0 && <p className="note">{t.wallet.none}</p>}
      {problem && <p role="alert">{problem}</p>}
      {dev.isError && <Failure error={dev.error} />}
      {dev.data && (
        <>
          <h3>{t.wallet.dev}</h3>
          <p className="note">{t.wallet.devWhy}</p>
          <div className="accounts">
            {accounts.data?.slice(0, 10).map((account, index) => (
              <button key={account} type="button" onClick={() => connect(dev.data!, account)}>
                <span>{index}</span> {short(account)}
              </button>
            ))}
          </div>
        </>
      )}
    </dialog>
  );
}
