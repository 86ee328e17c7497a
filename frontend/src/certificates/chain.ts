/** What the Certificates contract itself says, read from the node; the service is not asked. */
import { type Abi, createClient, type Hex, http } from "viem";
import { getTransactionReceipt, readContract } from "viem/actions";
import { parseEventLogs } from "viem/utils";
import type { Schemas } from "../api/client";

type Chain = Schemas["ChainOut"];

export interface Supply {
  minted: bigint;
  retired: bigint;
  circulating: bigint;
}

export interface Retirement {
  id: bigint;
  account: string;
  amount: bigint;
  beneficiary: string;
  purposeHash: Hex;
}

const contractOf = (chain: Chain) => {
  const { address, abi } = chain.contracts.Certificates!;
  return { address: address as Hex, abi: abi as unknown as Abi };
};
const clientOf = (rpcUrl: string) => createClient({ transport: http(rpcUrl, { retryCount: 1 }) });

/** Units of an id minted, retired and in circulation. */
export async function readSupply(chain: Chain, rpcUrl: string, id: string): Promise<Supply> {
  const client = clientOf(rpcUrl);
  const ask = (functionName: string) =>
    readContract(client, { ...contractOf(chain), functionName, args: [BigInt(id)] }) as Promise<bigint>;
  const [minted, retired, circulating] = await Promise.all([ask("mintedOf"), ask("retiredOf"), ask("totalSupply")]);
  return { minted, retired, circulating };
}

/** The retirements of an id that a mined transaction holds, as the contract logged them. */
export async function readRetirements(chain: Chain, rpcUrl: string, tx: Hex, id: string): Promise<Retirement[]> {
  const receipt = await getTransactionReceipt(clientOf(rpcUrl), { hash: tx });
  const { address, abi } = contractOf(chain);
  const logs = receipt.logs.filter((log) => log.address.toLowerCase() === address.toLowerCase());
  return parseEventLogs({ abi, logs, eventName: "Retired" })
    .map((log) => (log as unknown as { args: Retirement }).args)
    .filter((args) => args.id === BigInt(id));
}
