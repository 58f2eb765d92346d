-- Link utilisation: bits a second out of each interface and percent of its speed, every five minutes. Links without a
-- speed in the table interfaces have no percent; interfaces that are not in it are left out. Alarm on percent > 80. A
-- flow is counted in the window in which it ended.
-- Source: MRTG's five-minute averages, from flows instead of SNMP, so that it can be broken down.
CREATE MATERIALIZED VIEW link_utilisation AS
SELECT window_start, f.exporter, f.out_if, i.site, sum(f.octets) * 8 / 300 AS bits_per_second,
       100.0 * (sum(f.octets) * 8) / (300 * i.bits_per_second) AS percent
FROM tumble(flows, time, interval '300 s') f
     JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.out_if
GROUP BY window_start, f.exporter, f.out_if, i.site, i.bits_per_second;
