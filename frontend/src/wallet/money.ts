/** The settlement token and the Treasury, by the connected wallet. */

import type { Abi, Hex } from "viem";
import { decodeFunctionResult, encodeFunctionData } from "viem/utils";
import type { Schemas } from "../api/client";
import type { Provider } from "./providers";

type Chain = Schemas["ChainOut"];

/** What a function of one of the contracts answers, asked through the wallet. */
export async function read<T>(chain: Chain, provider: Provider, name: string, functionName: string, args: unknown[]) {
  const { address, abi } = chain.contracts[name]!;
  const typed = abi as unknown as Abi;
  const data = encodeFunctionData({ abi: typed, functionName, args });
  const result = (await provider.request({ method: "eth_call", params: [{ to: address, data }, "latest"] })) as Hex;
  return decodeFunctionResult({ abi: typed, functionName, data: result }) as T;
}

export interface Funds {
  available: bigint;
  locked: bigint;
  inWallet: bigint;
  approved: bigint;
}

/** Money of `account` in the Treasury and in the wallet, micro-units. */
export async function fundsOf(chain: Chain, provider: Provider, account: string): Promise<Funds> {
  const treasury = chain.contracts.Treasury!.address;
  const [ledger, inWallet, approved] = await Promise.all([
    read<readonly [bigint, bigint]>(chain, provider, "Treasury", "ledger", [account]),
    read<bigint>(chain, provider, "DevToken", "balanceOf", [account]),
    read<bigint>(chain, provider, "DevToken", "allowance", [account, treasury]),
  ]);
  return { available: ledger[0], locked: ledger[1], inWallet, approved };
}

/** Calldata of a function of one of the contracts. */
export function call(chain: Chain, name: string, functionName: string, args: unknown[]): { to: string; data: Hex } {
  const { address, abi } = chain.contracts[name]!;
  return { to: address, data: encodeFunctionData({ abi: abi as unknown as Abi, functionName, args }) };
}
