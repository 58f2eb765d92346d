-- Entropy: bits of Shannon entropy of source and destination addresses and ports, weighted by flows, every five
-- minutes: the vector that anomaly detection looks at. A flood draws destinations together (dst_ip falls) and spreads
-- sources (src_ip rises); a scan does the opposite. No threshold: compare each series with its own past (baseline.sql
-- shows how). Exact up to 100,000 different values a window, null and counted beyond: then use a shorter window, or
-- approx_count_distinct.
-- Source: BackStreamDB's later work (Security and Privacy 2020); Lakhina, Crovella, Diot, SIGCOMM 2005.
CREATE MATERIALIZED VIEW entropy AS
SELECT window_start, count(*) AS flows, entropy(src_ip) AS src_ip, entropy(dst_ip) AS dst_ip, entropy(src_port) AS src_port,
       entropy(dst_port) AS dst_port
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start;
