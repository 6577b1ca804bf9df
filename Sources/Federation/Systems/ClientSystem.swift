// What a client's device and link can do, and how long a round takes it by that. No clock is read:
// with D and U the payload bytes that the client is charged for, K the tokens that it computes,
//
//   download  l + D / r_down       then       training  K / s       then       upload  l + U / r_up
//
// one after the other, as FedScale (Lai et al. 2022, arXiv 2105.11367) and FLASH (Yang et al. 2021,
// arXiv 2006.06983) add up computation and communication.
internal import Elementary
internal import RandomStreams

/// One client's device and link.
public struct ClientSystem: Sendable, Equatable {
  /// r_down, bytes/s.
  public var download: Double
  /// r_up, bytes/s.
  public var upload: Double
  /// l, seconds, once for each message.
  public var latency: Double
  /// s, tokens/s of local training.
  public var tokensPerSecond: Double

  /// A device of these values.
  public init(download: Double, upload: Double, latency: Double, tokensPerSecond: Double) {
    self.download = download
    self.upload = upload
    self.latency = latency
    self.tokensPerSecond = tokensPerSecond
  }

  /// Seconds from the round's beginning until the download has arrived.
  public func modelledSeconds(download bytes: Int) -> Double {
    latency + Double(bytes) / download
  }

  /// Seconds from the round's beginning until so many tokens are computed.
  public func modelledSeconds(download: Int, tokens: Int) -> Double {
    // At a drawn speed that rounds to 0 no token takes no time.
    modelledSeconds(download: download) + (tokens == 0 ? 0 : Double(tokens) / tokensPerSecond)
  }

  /// Seconds from the round's beginning until the upload has arrived.
  public func modelledSeconds(download: Int, tokens: Int, upload: Int) -> Double {
    modelledSeconds(download: download, tokens: tokens) + latency
      + Double(upload) / self.upload
  }

  /// What is wrong with it, in words; nil when nothing is.
  public var problem: String? {
    func isRate(_ value: Double) -> Bool { value > 0 && value.isFinite }
    guard isRate(download), isRate(upload), isRate(tokensPerSecond), latency >= 0,
      latency.isFinite
    else {
      return "download \(download), upload \(upload), latency \(latency), tokens_per_second "
        + "\(tokensPerSecond); rates must be greater than 0 and the latency at least 0"
    }
    return nil
  }
}

/// A positive quantity over clients: `median` exp(`sigma` z) with z normal; sigma 0 is a constant.
public struct LogNormal: Sendable, Equatable {
  /// Half of the clients are below.
  public var median: Double
  /// The standard deviation of the logarithm.
  public var sigma: Double

  /// A distribution of these values; a constant where nothing is said of the spread.
  public init(median: Double, sigma: Double = 0) {
    self.median = median
    self.sigma = sigma
  }

  fileprivate func value(at normal: Double) -> Double {
    sigma == 0 ? median : median * Elementary.exp(sigma * normal)
  }
}

/// What all clients' devices and links can do.
public enum ClientSystems: Sendable, Equatable {
  /// Each quantity drawn for (seed, client), independent of the others; latencies may be 0.
  case drawn(
    download: LogNormal, upload: LogNormal, latency: LogNormal, tokensPerSecond: LogNormal)
  /// Client c has entry c modulo the entries, of which there is at least one.
  case trace([ClientSystem])

  /// The device of a client: a function of (seed, client) alone.
  public func system(of client: Int, seed: UInt64) -> ClientSystem {
    switch self {
    case .drawn(let download, let upload, let latency, let tokensPerSecond):
      var stream = RandomStream(seed: seed, purpose: .device, client: client)
      // All four are always drawn, so that a spread of one changes no other.
      let normals = (0..<4).map { _ in stream.normal() }
      return ClientSystem(
        download: download.value(at: normals[0]), upload: upload.value(at: normals[1]),
        latency: latency.value(at: normals[2]),
        tokensPerSecond: tokensPerSecond.value(at: normals[3]))
    case .trace(let entries):
      return entries[client % entries.count]
    }
  }

  /// What is wrong with the devices of a trace.
  var traceProblems: [PlanProblem] {
    guard case .trace(let entries) = self else { return [] }
    let key = "system.path"
    if entries.isEmpty { return [PlanProblem(key, "the system's trace has no client")] }
    return entries.enumerated().compactMap { index, entry in
      entry.problem.map { PlanProblem(key, "entry \(index) of the system's trace: \($0)") }
    }
  }
}

extension ValueChecks {
  /// The distributions that devices are drawn from make sense.
  mutating func require(_ clients: ClientSystems) {
    guard case .drawn(let download, let upload, let latency, let tokensPerSecond) = clients else {
      return
    }
    for (name, quantity, medians) in [
      ("download", download, NumberRange.positive), ("upload", upload, .positive),
      ("latency", latency, .notNegative), ("tokens_per_second", tokensPerSecond, .positive),
    ] {
      require(name, quantity.median, in: medians)
      require(
        NumberRange.sigma.contains(quantity.sigma), name, "sigma: \(short(quantity.sigma))",
        give: NumberRange.sigma.text)
    }
  }
}
