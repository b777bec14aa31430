// Package costmodel turns what was measured of a service into hosts, money and a
// recommendation: how many hosts of a type a demand takes, what they cost a month,
// what a year costs with the people, from which demand on a dearer development pays back, and
// whether to take containers, WebAssembly modules or both. It knows nothing of how
// figures are measured and imports none of the packages that do.
//
// # Hosts
//
// A demand is a rate, requests a day times the peak, and a number of instances that are
// held. A host answers no more requests than its instances may get within the
// limit of p99, nor than its processors have time for, and holds no more instances than its memory:
//
//	instances of a host ≤ ⌊(memory × (1-headroom) - base) / memory of an instance⌋
//	requests of a host  ≤ instances × requests of an instance × (1-headroom)
//	requests of a host  ≤ (vCPU × speed × (1-headroom) - instances × cores) / processor time of a request
//
// Service.Fleet finds the fewest hosts, and the fewest instances on them, for which this
// holds with requests spread as each host can take them, and takes more only where these
// cost less than the processor time that they cover. Bound tells whether processors or
// memory would take more hosts by itself.
//
// What the model leaves out: disks, traffic and load balancers, discounts, spare hosts for
// when one fails (let Instances or Headroom stand for them), and that a host with many
// busy instances is slower than one with few. The memory that a measurement gives as
// base is that of the instances' daemons and engines; add what the host's own
// system takes.
//
// # vCPU
//
// A vCPU is a hardware thread on most clouds: half a core when its sibling is busy. If the
// machine that was measured counts its processors the same way nothing is to be corrected, and
// Service.Speed is for where it does not or is slower. The article's types, t3, are burstable
// besides: their price covers a fifth of each vCPU on the mean of a day, and what is used beyond is charged, which
// for a t3.small that is busy all day is nearly four times the price of the host. MonthlyCost adds it as Bill.Surplus; the article has none, and
// Service.PerHost, which is its formula, adds none.
//
// # Uncertainty
//
// Every input may have an interval. Costs and hosts move one way with each
// input, so they are computed at the favourable ends and at the unfavourable ends of all
// intervals, and nothing between lies outside. That is wider than need be where inputs are
// off independently, and never too narrow. What an input's interval leaves out,
// such as how one day differs from the next, the result's does too.
//
// # Recommendation
//
// A Framework is a table of rules with weights; ArticleFramework is the article's two lists
// and says where weights and limits are from. Framework.Recommend lets measured figures decide
// the rules that can be measured, whatever the article says of them, counts once what
// several rules say of one thing, and tells what would have to change for another
// choice.
//
// # The article's own figures
//
// ArticleContainer, ArticleWasm and their TCO have the article's constants, and reproduce its monthly
// costs where these follow. Package article checks those of its figures that others
// determine: of its eight monthly costs two follow from no whole number of hosts, and its infrastructure
// of a year neither from its months nor from the formula. testdata/README.md has the whole list, which a test keeps.
package costmodel
