/** Who is here: the connected account, the wallet's chain, and the session with the service. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { ApiError, api, rememberCsrf, type Schemas, take } from "../api/client";
import type { Source } from "./providers";

type Session = Schemas["SessionOut"];

interface Wallet {
  source: Source | null;
  address: string | null;
  /** chain of the wallet */
  chainId: number | null;
  session: Session | null;
  /** the dialog in which an account is chosen */
  choosing: boolean;
  choose: (open: boolean) => void;
  connect: (source: Source, address: string) => Promise<void>;
  switchChain: (chainId: number) => Promise<void>;
  signIn: () => Promise<Session>;
  signOut: () => Promise<void>;
}

const HINT = "bitwatt.account";
const Wallets = createContext<Wallet | null>(null);

export function WalletProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [source, setSource] = useState<Source | null>(null);
  const [address, setAddress] = useState<string | null>(null);
  const [chainId, setChainId] = useState<number | null>(null);
  const [session, setSession] = useState<Session | null>(null);
  const [choosing, choose] = useState(false);

  const remember = useCallback((value: Session | null) => {
    rememberCsrf(value?.csrf_token);
    setSession(value);
  }, []);

  const connect = useCallback(async (next: Source, account: string) => {
    setSource(next);
    setAddress(account.toLowerCase());
    setChainId(Number(await next.provider.request({ method: "eth_chainId" })));
    next.provider.on?.("chainChanged", (value) => setChainId(Number(value)));
    next.provider.on?.("accountsChanged", (value) => setAddress((value as string[])[0]?.toLowerCase() ?? null));
    localStorage.setItem(HINT, JSON.stringify({ source: next.id, address: account }));
    choose(false);
  }, []);

  const switchChain = useCallback(
    async (wanted: number) => {
      await source!.provider.request({
        method: "wallet_switchEthereumChain",
        params: [{ chainId: `0x${wanted.toString(16)}` }],
      });
      setChainId(Number(await source!.provider.request({ method: "eth_chainId" })));
    },
    [source],
  );

  const signIn = useCallback(async () => {
    const { signInMessage } = await import("./siwe");
    const nonce = await take(api.POST("/api/v1/session/nonce"));
    const message = signInMessage(nonce, address!);
    const bytes = new TextEncoder().encode(message);
    const data = `0x${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    const signature = await source!.provider.request({ method: "personal_sign", params: [data, address] });
    const opened = await take(api.POST("/api/v1/session", { body: { message, signature: signature as string } }));
    remember(opened);
    await client.invalidateQueries();
    return opened;
  }, [address, source, client, remember]);

  const signOut = useCallback(async () => {
    if (session) await take(api.DELETE("/api/v1/session")).catch(() => undefined);
    localStorage.removeItem(HINT);
    remember(null);
    setSource(null);
    setAddress(null);
    setChainId(null);
    client.removeQueries({ predicate: (query) => query.queryKey[0] === "mine" });
  }, [session, client, remember]);

  useEffect(() => {
    const hint = localStorage.getItem(HINT);
    if (!hint) return;
    let gone = false;
    (async () => {
      const { source: id, address: account } = JSON.parse(hint) as { source: string; address: string };
      const { reconnect } = await import("./reconnect");
      const found = await reconnect(id, account);
      if (found && !gone) await connect(found, account);
      const open = await take(api.GET("/api/v1/session"));
      if (!gone && open.address === account.toLowerCase()) remember(open);
    })().catch((error) => {
      if (!(error instanceof ApiError)) localStorage.removeItem(HINT);
    });
    return () => {
      gone = true;
    };
  }, [connect, remember]);

  const value = useMemo(
    () => ({ source, address, chainId, session, choosing, choose, connect, switchChain, signIn, signOut }),
    [source, address, chainId, session, choosing, connect, switchChain, signIn, signOut],
  );
  return <Wallets.Provider value={value}>{children}</Wallets.Provider>;
}

export function useWallet(): Wallet {
  const value = useContext(Wallets);
  if (!value) throw new Error("useWallet is outside <WalletProvider>");
  return value;
}
