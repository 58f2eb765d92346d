-- Customer share: what part of each link's packets comes from each customer, every hour. Who fills the link. Customers
-- are told by the longest prefix of the table customers; packets from other addresses are the row with a null customer.
-- No threshold.
-- Source: query 2 of the Stanford STREAM repository's network monitoring set.
CREATE MATERIALIZED VIEW customer_share AS
SELECT window_start, exporter, in_if, customer, packets,
       100.0 * packets / nullif(sum(packets) OVER (PARTITION BY window_start, exporter, in_if), 0) AS percent
FROM (SELECT window_start, f.exporter, f.in_if, c.customer, sum(f.packets) AS packets
      FROM tumble(flows, time, interval '1 h') f
           LEFT JOIN lpm(customers, f.src_ip) c ON true
      GROUP BY window_start, f.exporter, f.in_if, c.customer) shares;
