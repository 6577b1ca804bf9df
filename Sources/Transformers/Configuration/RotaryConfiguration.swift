// Frequencies of rotary positions, plain and scaled for longer contexts.

internal import Elementary

/// Rotary positions: base and scaling of the angles.
public struct RotaryConfiguration: Sendable, Equatable {
  /// How the frequencies are changed for contexts longer than those of pretraining.
  public enum Scaling: Sendable, Equatable {
    /// Not at all.
    case none
    /// All divided by the factor (Chen et al. 2023).
    case linear(factor: Double)
    /// Llama 3.1: low frequencies divided by the factor, with a smooth transition.
    case llama3(factor: Double, lowFactor: Double, highFactor: Double, originalPositions: Double)
    /// YaRN.
    case yarn(Yarn)
    /// LongRoPE (Ding et al. 2024): each frequency divided by a factor of its own, one for sequences
    /// up to the original positions and one for longer ones.
    case longRope(
      short: [Double], long: [Double], originalPositions: Int, attentionFactor: Double)
  }

  /// YaRN (Peng et al. 2023): low frequencies divided by the factor, with a ramp between two numbers
  /// of rotations over the original positions.
  public struct Yarn: Sendable, Equatable {
    let factor: Double
    /// Factor of cosines and sines.
    let attentionFactor: Double
    /// From so many rotations on a frequency stays.
    let fastRotations: Double
    /// Up to so many rotations a frequency is divided by the factor.
    let slowRotations: Double
    let originalPositions: Double
    /// True if the ramp begins and ends at whole pairs of channels.
    let isTruncated: Bool
  }

  /// The base of the geometric series of wavelengths ("rope_theta").
  package var theta: Double
  /// Scaling of the frequencies.
  package var scaling: Scaling
  /// Share of a head's channels that are rotated, the first ones.
  package var share: Double

  /// Rotary positions with `theta` and `scaling`.
  public init(theta: Double, scaling: Scaling = .none, share: Double = 1) {
    self.theta = theta
    self.scaling = scaling
    self.share = share
  }

  /// The rotated channels of a head.
  func channels(_ headSize: Int) -> Int { Int(Double(headSize) * share) }

  /// Angle per position of each pair of channels; `isLong` for sequences beyond the original
  /// positions.
  func frequencies(headSize: Int, isLong: Bool = false) -> [Float] {
    let size = Double(channels(headSize))
    return (0..<channels(headSize) / 2).map { pair in
      let plain = 1 / Elementary.pow(theta, Double(2 * pair) / size)
      switch scaling {
      case .none: return Float(plain)
      case .linear(let factor): return Float(plain / factor)
      case .llama3(let factor, let low, let high, let positions):
        let wavelength = 2 * Double.pi / plain
        if wavelength > positions / low { return Float(plain / factor) }
        if wavelength < positions / high { return Float(plain) }
        let smooth = (positions / wavelength - low) / (high - low)
        return Float((1 - smooth) * plain / factor + smooth * plain)
      case .yarn(let yarn):
        let divided = yarn.dividedShare(pair: pair, size: size, theta: theta)
        return Float(plain / yarn.factor * divided + plain * (1 - divided))
      case .longRope(let short, let long, _, _):
        return Float(plain / (isLong ? long : short)[pair])
      }
    }
  }

  /// Factor of cosines and sines.
  private var attentionFactor: Double {
    switch scaling {
    case .none, .linear, .llama3: 1
    case .yarn(let yarn): yarn.attentionFactor
    case .longRope(_, _, _, let factor): factor
    }
  }

  /// The longest sequence with the first table; longer ones have the second.
  var shortPositions: Int {
    if case .longRope(_, _, let positions, _) = scaling { positions } else { .max }
  }

  /// Cosines and sines, (positions, rotated channels / 2) each; beyond `shortPositions` a second
  /// table of `positions` rows follows.
  func tables(positions: Int, headSize: Int) -> (cosines: [Float], sines: [Float]) {
    var cosines = [Float]()
    var sines = [Float]()
    for isLong in positions > shortPositions ? [false, true] : [false] {
      let frequencies = frequencies(headSize: headSize, isLong: isLong)
      for position in 0..<positions {
        for frequency in frequencies {
          // As the reference does: the angle is a single-precision product.
          let angle = Double(Float(position) * frequency)
          cosines.append(Float(Elementary.cos(angle) * attentionFactor))
          sines.append(Float(Elementary.sin(angle) * attentionFactor))
        }
      }
    }
    return (cosines, sines)
  }
}

extension RotaryConfiguration.Yarn {
  /// The share of a frequency that is divided by the factor: a ramp from 0 to 1 over the pairs.
  fileprivate func dividedShare(pair: Int, size: Double, theta: Double) -> Double {
    func place(_ rotations: Double) -> Double {
      size * Elementary.log(originalPositions / (rotations * 2 * Double.pi))
        / (2 * Elementary.log(theta))
    }
    var (low, high) = (place(fastRotations), place(slowRotations))
    if isTruncated { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    low = max(low, 0)
    high = min(high, size - 1)
    if low == high { high += 0.001 }
    return min(max((Double(pair) - low) / (high - low), 0), 1)
  }
}
