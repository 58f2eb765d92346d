-- Spoofed sources: traffic by what its source address can be, for each interface, every five minutes: bogon (addresses
-- that nobody may use), unrouted (not in the table routes), invalid (on a customer's interface, but not of that
-- customer), valid, and unverifiable (other interfaces). BCP 38 says that the first three should not come in. "invalid"
-- overestimates where a customer has prefixes that the table customers lacks: look at them before filtering. No
-- threshold.
-- Source: Lichtblau et al. (IMC 2017); Müller et al. (CoNEXT 2019); BCP 38.
CREATE MATERIALIZED VIEW spoofed_sources AS
SELECT window_start, f.exporter, f.in_if,
       CASE WHEN b.prefix IS NOT NULL THEN 'bogon' WHEN r.prefix IS NULL THEN 'unrouted'
            WHEN i.customer IS NULL THEN 'unverifiable' WHEN c.customer = i.customer THEN 'valid' ELSE 'invalid' END AS class,
       sum(f.octets) AS octets, sum(f.packets) AS packets, count(*) AS flows, count(DISTINCT f.src_ip) AS sources
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if
     LEFT JOIN lpm(bogons, f.src_ip) b ON true
     LEFT JOIN lpm(routes, f.src_ip) r ON true
     LEFT JOIN lpm(customers, f.src_ip) c ON true
GROUP BY 1, 2, 3, 4;
