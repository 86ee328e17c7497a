/** Finds the wallet of the last visit without asking it anything that opens a window. */
import { rpcUrlOf } from "../api/chain";
import { api, take } from "../api/client";
import { devSource, discover, type Source } from "./providers";

const PATIENCE_MS = 1500;

/** The same source when it still offers the account, else null. */
export async function reconnect(id: string, account: string): Promise<Source | null> {
  const source = id === "dev" ? await dev() : await announced(id);
  if (!source) return null;
  const accounts = (await source.provider.request({ method: "eth_accounts" })) as string[];
  return accounts.some((one) => one.toLowerCase() === account.toLowerCase()) ? source : null;
}

async function dev(): Promise<Source | null> {
  const rpcUrl = rpcUrlOf(await take(api.GET("/api/v1/chain")));
  return rpcUrl ? devSource(rpcUrl) : null;
}

function announced(id: string): Promise<Source | null> {
  return new Promise((resolve) => {
    const stop = discover((source) => source.id === id && done(source));
    const timer = setTimeout(() => done(null), PATIENCE_MS);
    function done(source: Source | null) {
      clearTimeout(timer);
      stop?.();
      resolve(source);
    }
  });
}
