// The section `system`: clients' devices and links, who is there and who is in time; its keys, and
// what the federation makes of them (docs/system-model.md).

package import Federation
internal import Foundation
internal import Yams

extension Experiment {
  /// What clients' devices and links can do, and who is there and in time by that.
  package struct SystemSection: Sendable, Equatable {
    /// Where the devices come from.
    package var kind = Kind.none
    /// File with one device per client, for traces.
    package var path: String?
    /// Bytes/s from the server to a client.
    package var download = Spread(median: 2_500_000)
    /// Bytes/s from a client to the server.
    package var upload = Spread(median: 625_000)
    /// Seconds before a message arrives.
    package var latency = Spread(median: 0.05)
    /// Tokens/s of a client's training.
    package var tokensPerSecond = Spread(median: 1000)
    /// A factor on the rates of each tier.
    package var tierSpeeds: [Double] = []
    /// Probability that a client is not there.
    package var unavailability = 0.0
    /// Probability that a client is lost after its download.
    package var dropout = 0.0
    /// Seconds after which a round ends.
    package var deadline: Double?
    /// Clients drawn beyond the cohort's size.
    package var extraClients = 0
    /// Seconds that the server adds to each round.
    var serverTime = 0.0

    /// Where devices come from.
    package enum Kind: String, Sendable, CaseIterable { case none, drawn, trace }

    /// A log-normal quantity; a constant with sigma 0.
    package struct Spread: Sendable, Equatable {
      /// Half of the clients are below.
      package var median: Double
      /// Standard deviation of the logarithm.
      package var sigma = 0.0
    }
  }

  /// The model that the federation plays by; nil where no clock runs.
  func systemModel(assets: AssetDirectory) throws -> SystemModel? {
    try systemModel { .trace(try SystemTrace.read(assets.resolve(system.path ?? ""))) }
  }

  /// The model with devices of this trace where they come from one.
  func systemModel(trace: () throws -> ClientSystems) rethrows -> SystemModel? {
    let clients: ClientSystems
    switch system.kind {
    case .none: return nil
    case .drawn:
      clients = .drawn(
        download: system.download.plan, upload: system.upload.plan, latency: system.latency.plan,
        tokensPerSecond: system.tokensPerSecond.plan)
    case .trace: clients = try trace()
    }
    return SystemModel(
      clients: clients, tierSpeeds: system.tierSpeeds, unavailability: system.unavailability,
      dropout: system.dropout, deadline: system.deadline, extraClients: system.extraClients,
      serverSeconds: system.serverTime)
  }
}

extension Experiment.SystemSection.Spread {
  fileprivate var plan: LogNormal { LogNormal(median: median, sigma: sigma) }
}

extension ExperimentKey {
  package static let partitionClients = subjectOf("partition.clients")

  private static func subjectOf(_ path: String) -> ExperimentKey? {
    all.first { $0.path == path }
  }

  static let systemKeys: [ExperimentKey] = [
    ExperimentKey(
      "system.kind", \.system.kind, .choice,
      "virtual clock: none, or with devices and links of clients that are drawn from log-normal"
        + " distributions, or read from a trace; changes no result by itself"),
    ExperimentKey(
      "system.path", optional: \.system.path, required: true,
      only: when("system.kind", \.system.kind, is: .trace),
      "CSV or JSON file with client, download, upload, latency and tokens_per_second; if the"
        + " population is larger, the file's clients repeat"),
    ExperimentKey(
      "system.download", \.system.download, .spread(.positive), only: systemIsDrawn,
      "bytes per second from the server to a client"),
    ExperimentKey(
      "system.upload", \.system.upload, .spread(.positive), only: systemIsDrawn,
      "bytes per second from a client to the server"),
    ExperimentKey(
      "system.latency", \.system.latency, .spread(.notNegative), only: systemIsDrawn,
      "seconds before a message arrives, in each direction"),
    ExperimentKey(
      "system.tokens_per_second", \.system.tokensPerSecond, .spread(.positive),
      only: systemIsDrawn, "training speed of a client"),
    ExperimentKey(
      "system.tier_speeds", \.system.tierSpeeds, .rates, only: systemIsOn,
      "factors on the three rates for the clients of each tier; []: none"),
    ExperimentKey(
      "system.unavailability", \.system.unavailability, .number(.partialShare),
      only: systemIsOn,
      "probability that a client is unavailable in a round; cohorts are drawn from the available"
        + " clients"),
    ExperimentKey(
      "system.dropout", \.system.dropout, .number(.share), only: systemIsOn,
      "probability that a client drops out of a round after its download"),
    ExperimentKey(
      "system.deadline", \.system.deadline, .either("none", or: .number(.positive)),
      only: systemIsOn, "modelled seconds after which a round ends without the missing uploads"),
    ExperimentKey(
      "system.extra_clients", \.system.extraClients, .integer(atLeast: 0, atMost: 1 << 31),
      only: systemIsOn,
      "clients that are drawn in addition to federation.cohort_size; the round ends after"
        + " cohort_size uploads, and the other uploads do not count"),
    ExperimentKey(
      "system.server_time", \.system.serverTime, .number(.notNegative), only: systemIsOn,
      "modelled seconds that the server adds to each round"),
  ]

  private static var systemIsDrawn: Condition {
    when("system.kind", \.system.kind, is: .drawn)
  }

  private static var systemIsOn: Condition {
    when("system.kind", \.system.kind, is: .drawn, .trace)
  }
}

extension ValueForm where Value == Experiment.SystemSection.Spread {
  /// A constant, or the median and the spread of a log-normal distribution.
  package static func spread(_ medians: NumberRange) -> ValueForm {
    let number = ValueForm<Double>.number(medians)
    let width = ValueForm<Double>.number(.sigma)
    return ValueForm(
      allowed: number.allowed + ", or {median: 2.5e6, sigma: 1} with the median in the same range"
        + " and sigma, the standard deviation of the logarithm, from 0 to 20",
      read: { node, context in
        if let value = number.read(node, context) { return Value(median: value) }
        guard let mapping = node.mapping, mapping.count == 2,
          let median = mapping["median"].flatMap({ number.read($0, context) }),
          let sigma = mapping["sigma"].flatMap({ width.read($0, context) })
        else { return nil }
        return Value(median: median, sigma: sigma)
      },
      write: { spread in
        spread.sigma == 0
          ? short(spread.median)
          : "{median: \(short(spread.median)), sigma: \(short(spread.sigma))}"
      })
  }
}

extension ValueForm where Value == [Double] {
  /// A list of numbers above 0.
  package static var rates: ValueForm {
    let number = ValueForm<Double>.number(.positive)
    return ValueForm(
      allowed: "a list of numbers above 0, as [0.5, 1]",
      read: { node, context in
        guard let nodes = node.sequence else { return nil }
        let values = nodes.compactMap { number.read($0, context) }
        return values.count == nodes.count ? Array(values) : nil
      }, write: { "[" + $0.map(short).joined(separator: ", ") + "]" })
  }
}
