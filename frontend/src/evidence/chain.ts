/** What the chain itself says, read by viem from the node; the service is not asked. */
import { type Abi, createClient, type Hex, http } from "viem";
import { getTransaction, readContract } from "viem/actions";
import { decodeFunctionData } from "viem/utils";
import type { Schemas } from "../api/client";
import type { Message } from "../wire/typed";

export interface OnChain {
  /** where it was read */
  rpcUrl: string;
  chainId: number;
  oracle: string;
  root: Hex;
  outcomesRoot: Hex;
  /** 0 none, 1 posted, 2 disputed, 3 upheld, 4 void */
  standing: number;
  message: Message;
  signatures: Hex[];
  members: string[];
  quorum: number;
}

export interface OnChainDevice {
  x: Hex;
  y: Hex;
  evidenceHash: Hex;
  attestedUntil: bigint;
  evidenceKind: number;
}

const clientOf = (rpcUrl: string) => createClient({ transport: http(rpcUrl, { retryCount: 1 }) });
type Client = ReturnType<typeof clientOf>;

const contract = (chain: Schemas["ChainOut"], name: string) => {
  const found = chain.contracts[name]!;
  return { address: found.address as Hex, abi: found.abi as unknown as Abi };
};

/** The report that was posted by `report.tx_hash`, with roots, members and quorum as the contract has them. */
export async function readReport(
  chain: Schemas["ChainOut"],
  rpcUrl: string,
  report: Pick<Schemas["ReportOut"], "feed_id" | "start" | "tx_hash">,
): Promise<OnChain> {
  const client = clientOf(rpcUrl);
  const oracle = contract(chain, "DeliveryOracle");
  const ask = <T>(functionName: string, args: unknown[] = []) =>
    readContract(client as Client, { ...oracle, functionName, args }) as Promise<T>;
  const [view, members, quorum, transaction] = await Promise.all([
    ask<{ root: Hex; outcomesRoot: Hex; standing: number }>("reportAt", [report.feed_id, BigInt(report.start)]),
    ask<string[]>("members"),
    ask<bigint>("quorum"),
    getTransaction(client, { hash: report.tx_hash as Hex }),
  ]);
  const { args } = decodeFunctionData({ abi: oracle.abi, data: transaction.input });
  const [message, joined] = args as [Message, Hex];
  const signatures =
    joined
      .slice(2)
      .match(/.{130}/g)
      ?.map((part) => `0x${part}` as Hex) ?? [];
  return {
    rpcUrl,
    chainId: chain.chain_id,
    oracle: oracle.address,
    root: view.root,
    outcomesRoot: view.outcomesRoot,
    standing: view.standing,
    message,
    signatures,
    members: members.map((member) => member.toLowerCase()),
    quorum: Number(quorum),
  };
}

/** A device as the Registry has it now. */
export async function readDevice(chain: Schemas["ChainOut"], rpcUrl: string, meterId: bigint): Promise<OnChainDevice> {
  const registry = contract(chain, "Registry");
  const call = { ...registry, functionName: "device", args: [Number(meterId)] };
  return (await readContract(clientOf(rpcUrl), call)) as OnChainDevice;
}
