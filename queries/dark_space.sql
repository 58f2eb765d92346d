-- Dark space: the twenty sources that send to most addresses of ours that nobody uses (table dark), every five minutes.
-- Whoever sends there scans, is misconfigured, or answers an attacker who uses our addresses (backscatter: flags
-- SYN+ACK or RST). LIMIT sets how many.
-- Source: Moore et al., "Inferring Internet denial-of-service activity" (USENIX Security 2001); CAIDA's network
-- telescope.
CREATE MATERIALIZED VIEW dark_space AS
SELECT window_start, f.src_ip, count(DISTINCT f.dst_ip) AS addresses, count(*) AS flows,
       count(*) FILTER (WHERE f.protocol = 6 AND (f.tcp_flags & 18 = 18 OR f.tcp_flags & 4 <> 0)) AS backscatter
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN lpm(dark, f.dst_ip) d ON true
WHERE d.prefix IS NOT NULL
GROUP BY window_start, f.src_ip
ORDER BY addresses DESC
LIMIT 20;
