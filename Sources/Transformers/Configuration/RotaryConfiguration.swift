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
  }

  /// The base of the geometric series of wavelengths ("rope_theta").
  package var theta: Double
  /// Scaling of the frequencies.
  package var scaling: Scaling

  /// Rotary positions with `theta` and `scaling`.
  public init(theta: Double, scaling: Scaling = .none) {
    self.theta = theta
    self.scaling = scaling
  }

  /// Angle per position of each pair of channels: `headSize` / 2 frequencies.
  func frequencies(headSize: Int) -> [Float] {
    (0..<headSize / 2).map { pair in
      let plain = 1 / Elementary.pow(theta, Double(2 * pair) / Double(headSize))
      switch scaling {
      case .none: return Float(plain)
      case .linear(let factor): return Float(plain / factor)
      case .llama3(let factor, let low, let high, let positions):
        let wavelength = 2 * Double.pi / plain
        if wavelength > positions / low { return Float(plain / factor) }
        if wavelength < positions / high { return Float(plain) }
        let smooth = (positions / wavelength - low) / (high - low)
        return Float((1 - smooth) * plain / factor + smooth * plain)
      }
    }
  }

  /// Cosines and sines, (positions, `headSize` / 2) each.
  func tables(positions: Int, headSize: Int) -> (cosines: [Float], sines: [Float]) {
    let frequencies = frequencies(headSize: headSize)
    var cosines = [Float]()
    var sines = [Float]()
    cosines.reserveCapacity(positions * frequencies.count)
    sines.reserveCapacity(positions * frequencies.count)
    for position in 0..<positions {
      for frequency in frequencies {
        // As the reference does: the angle is a single-precision product.
        let angle = Double(Float(position) * frequency)
        cosines.append(Float(Elementary.cos(angle)))
        sines.append(Float(Elementary.sin(angle)))
      }
    }
    return (cosines, sines)
  }
}
