// Values of columns as people know them.
import type { Column, Value } from "../api/types";

const PROTOCOLS: Record<number, string> = { 1: "ICMP", 2: "IGMP", 4: "IP in IP", 6: "TCP", 17: "UDP", 41: "IPv6 in IP", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 103: "PIM", 112: "VRRP", 132: "SCTP" };

export function label_of(column: Column, value: Value): string {
  const { name } = column;
  if (value === null) return "∅";
  if (typeof value === "number") {
    if (/(^|_)asn?$/.test(name)) return `AS${value}`;
    if (name === "protocol") return PROTOCOLS[value] ?? `protocol ${value}`;
    if (name === "ip_version") return `IPv${value}`;
    if (/(^|_)port$/.test(name)) return `port ${value}`;
    if (/_if$/.test(name)) return `if ${value}`;
  }
  return String(value);
}

/** What people call a measure: octets are "traffic". */
export function measure_title(name: string, traffic: string): string {
  return /^(octets|bytes|bits_per_second)$/.test(name) ? traffic : heading_of(name);
}

/** "src_as" → "src AS": a heading. */
export function heading_of(name: string): string {
  return name
    .replace(/_per_second$/, "")
    .split("_")
    .map((word) => (word === "as" || word === "ip" ? word.toUpperCase() : word))
    .join(" ");
}
