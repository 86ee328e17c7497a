/** The sign-in message (EIP-4361). */

import { createSiweMessage } from "viem/siwe";
import { getAddress } from "viem/utils";
import type { Schemas } from "../api/client";

export const signInMessage = (nonce: Schemas["Nonce"], address: string): string =>
  createSiweMessage({
    address: getAddress(address),
    chainId: nonce.chain_id,
    domain: nonce.domain,
    nonce: nonce.nonce,
    uri: nonce.uri,
    statement: nonce.statement,
    version: "1",
    issuedAt: new Date(),
  });
