/** What a certificate's id says (F12) and the files made from it. Pure. */
import type { Schemas } from "../api/client";
import { energy, grams, type Locale } from "../format";

export interface Unpacked {
  kind: "certificate" | "credit";
  /** 201710 */
  yearMonth: number;
  zoneId: number;
  source: number;
  issuer: string;
}

/** Bits 255..248 kind, 247..224 year-month, 223..208 zone, 207..200 source, 159..0 issuer; null when it is no id. */
export function unpackId(text: string): Unpacked | null {
  if (!/^[0-9]{1,78}$/.test(text)) return null;
  const id = BigInt(text);
  const kind = Number(id >> 248n);
  if (kind !== 1 && kind !== 2) return null;
  return {
    kind: kind === 1 ? "certificate" : "credit",
    yearMonth: Number((id >> 224n) & 0xffffffn),
    zoneId: Number((id >> 208n) & 0xffffn),
    source: Number((id >> 200n) & 0xffn),
    issuer: `0x${(id & ((1n << 160n) - 1n)).toString(16).padStart(40, "0")}`,
  };
}

/** 2017-10 */
export const monthText = (yearMonth: number) =>
  `${Math.floor(yearMonth / 100)}-${String(yearMonth % 100).padStart(2, "0")}`;

/** Wh or g in words. */
export const amountText = (kind: Unpacked["kind"], amount: number, locale: Locale) =>
  kind === "certificate" ? energy(amount, locale) : grams(amount, locale);

/** AIB energy-source codes, which the EnergyTag scheme uses: technology type by our source number. */
const TECHNOLOGY = ["F00000000", "F01040100", "F01050100", "F01050200", "F02000000", "F01010000", "F01040300"];

type Event = Schemas["CertificateEvent"];

/** Granular certificate bundles in the field names of the EnergyTag GC scheme standard, one for each issuance.
 * The slot of each Wh is in the settled leaf; an id gathers a month, and the bundle says so. */
export function energyTag(id: string, events: readonly Event[], chainId: number, contract: string) {
  const meta = unpackId(id)!;
  const [year, month] = [Math.floor(meta.yearMonth / 100), meta.yearMonth % 100];
  const instant = (y: number, m: number) => new Date(Date.UTC(y, m - 1, 1)).toISOString();
  let serial = 0;
  return {
    scheme: "EnergyTag GC Scheme Standard v2",
    granular_certificate_bundles: events
      .filter((event) => event.event === "minted")
      .map((event) => {
        const first = serial;
        serial += event.amount;
        return {
          issuance_id: `eip155:${chainId}/erc1155:${contract}/${id}`,
          transaction: event.tx_hash,
          certificate_bundle_id_range_start: first,
          certificate_bundle_id_range_end: serial - 1,
          bundle_quantity: event.amount,
          face_value_wh: 1,
          energy_carrier: "electricity",
          energy_source: TECHNOLOGY[meta.source] ?? "F00000000",
          production_starting_interval: instant(year, month),
          production_ending_interval: instant(year, month + 1),
          issuance_datestamp: new Date(event.at * 1000).toISOString(),
          issuing_body: meta.issuer,
          issuance_zone: meta.zoneId,
          account: event.receiver,
        };
      }),
    retirements: events
      .filter((event) => event.event === "retired")
      .map((event) => ({
        account: event.sender,
        bundle_quantity: event.amount,
        retired_at: new Date(event.at * 1000).toISOString(),
        transaction: event.tx_hash,
      })),
  };
}
