/** Sending a transaction and following it to its end. */
import { api, take } from "../api/client";
import { type Activity, type Fate, fateOf, record, TransactionFailed } from "./activity";
import type { Provider } from "./providers";

const LOOKS = 150;
const INDEX_LOOKS = 60;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends, waits until it is mined and the service has taken it in; returns its hash. */
export async function send(
  provider: Provider,
  from: string,
  tx: { to: string; data: string },
  label: string,
): Promise<string> {
  const params = [{ from, to: tx.to, data: tx.data }];
  const hash = (await provider.request({ method: "eth_sendTransaction", params })) as string;
  const sent = (await provider.request({ method: "eth_getTransactionByHash", params: [hash] })) as Sent | null;
  const chainId = Number(await provider.request({ method: "eth_chainId" }));
  const nonce = Number(sent?.nonce ?? (await minedBy(provider, from)));
  const entry: Activity = { hash, label, from: from.toLowerCase(), nonce, chainId, at: Date.now(), fate: "pending" };
  record(entry);
  const fate = await follow(provider, entry);
  if (fate !== "done") throw new TransactionFailed(hash, fate);
  return hash;
}

interface Sent {
  nonce: string;
}
interface Receipt {
  status: string;
  blockNumber: string;
}

const minedBy = async (provider: Provider, account: string) =>
  Number(await provider.request({ method: "eth_getTransactionCount", params: [account, "latest"] }));

/** Looks at the chain until the fate of `entry` is known, and records it. */
export async function follow(provider: Provider, entry: Activity): Promise<Fate> {
  let unseen = 0;
  for (let look = 0; look < LOOKS; look++) {
    const [receipt, known, mined] = (await Promise.all([
      provider.request({ method: "eth_getTransactionReceipt", params: [entry.hash] }),
      provider.request({ method: "eth_getTransactionByHash", params: [entry.hash] }),
      minedBy(provider, entry.from),
    ])) as [Receipt | null, Sent | null, number];
    unseen = known ? 0 : unseen + 1;
    const fate = fateOf({ receipt, known: known !== null, mined, nonce: entry.nonce, unseen });
    if (fate !== "pending") {
      record({ ...entry, fate });
      if (receipt) await takenIn(Number(receipt.blockNumber));
      return fate;
    }
    await wait(look < 10 ? 200 : 1000);
  }
  return "pending";
}

/** Until the service has read the block, so that what is shown next is true; a service that lags is not waited for
 * for ever. */
async function takenIn(block: number): Promise<void> {
  for (let look = 0; look < INDEX_LOOKS; look++) {
    const chain = await take(api.GET("/api/v1/chain"));
    if ((chain.indexed_block ?? -1) >= block) return;
    await wait(look < 10 ? 200 : 1000);
  }
}
