/** Where a signature can come from: wallets of the browser (EIP-6963), or Anvil's unlocked accounts on chain 31337. */
export interface Provider {
  request: (call: { method: string; params?: readonly unknown[] }) => Promise<unknown>;
  on?: (event: string, listener: (value: unknown) => void) => void;
}

export interface Source {
  id: string;
  name: string;
  icon?: string;
  dev: boolean;
  provider: Provider;
}

export const DEV_CHAIN_ID = 31337;

/** A wallet's refusal or a node's error. */
export class WalletError extends Error {
  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message);
  }
}

export const rejected = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === 4001;

interface Announcement {
  info: { uuid: string; name: string; icon: string };
  provider: Provider;
}

/** Wallets that announce themselves (EIP-6963); returns what stops listening. */
export function discover(found: (source: Source) => void): () => void {
  const listen = (event: Event) => {
    const { info, provider } = (event as CustomEvent<Announcement>).detail;
    const icon = info.icon?.startsWith("data:image/") ? info.icon : undefined;
    found({ id: info.uuid, name: String(info.name).slice(0, 60), icon, dev: false, provider });
  };
  window.addEventListener("eip6963:announceProvider", listen);
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  return () => window.removeEventListener("eip6963:announceProvider", listen);
}

let calls = 0;

/** A node as a provider: it signs with its own unlocked accounts. The page never holds a key. */
export function nodeProvider(rpcUrl: string): Provider {
  return {
    async request({ method, params = [] }) {
      const answer = await fetch(rpcUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: ++calls, method, params }),
      });
      const body = await answer.json();
      if (body.error) throw new WalletError(body.error.message, body.error.code);
      return body.result;
    },
  };
}

/** The dev wallet of a node, null unless the node's chain is the dev chain. */
export async function devSource(rpcUrl: string): Promise<Source | null> {
  const provider = nodeProvider(rpcUrl);
  const chain = Number(await provider.request({ method: "eth_chainId" }));
  return chain === DEV_CHAIN_ID ? { id: "dev", name: "Anvil", dev: true, provider } : null;
}
