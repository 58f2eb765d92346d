-- Scan alert: as host_scan, but a scanner is told once: again only when it was quiet for ten minutes. What a duty
-- officer wants to read. Thresholds: 100 hosts a minute; interval '10 min' is the time after which the alert is armed
-- again.
-- Source: flow-dscan reports once and re-arms after ageing.
CREATE MATERIALIZED VIEW scan_alert AS
SELECT window_start, src_ip, dst_port, hosts
FROM (SELECT window_start, src_ip, dst_port, hosts,
             lag(window_start) OVER (PARTITION BY src_ip, dst_port ORDER BY window_start) AS before
      FROM (SELECT window_start, src_ip, dst_port, count(DISTINCT dst_ip) AS hosts
            FROM tumble(flows, time, interval '60 s')
            WHERE packets_raw = 1
            GROUP BY window_start, src_ip, dst_port
            HAVING count(DISTINCT dst_ip) > 100) scans) history
WHERE before IS NULL OR window_start - before > interval '10 min';
