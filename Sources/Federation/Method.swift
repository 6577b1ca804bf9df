// A communication-efficient fine-tuning method as a value. The round (Round.swift) reads these
// values and never asks which method it plays.
public import Sparsity

/// What travels, and which coordinates of it are kept.
///
/// FLASC (Kuo et al. 2024, arXiv 2406.05233, Algorithm 1): clients download the coordinates of the
/// server's vector that are largest by magnitude, train ALL coordinates, and upload the coordinates
/// of their delta that are largest by magnitude; the two selections have nothing to do with each
/// other.
public struct Method: Sendable, Equatable {
  /// Which coordinates of the server's vector clients receive; they see zeros elsewhere.
  public var download: Selection
  /// Which coordinates of its delta a client sends; the server counts zeros elsewhere.
  public var upload: Selection

  /// A method of these two selections.
  public init(download: Selection, upload: Selection) {
    self.download = download
    self.upload = upload
  }

  /// FLASC at constant densities, each above 0 and at most 1.
  public static func flasc(download: Double, upload: Double) -> Method {
    Method(
      download: .topMagnitude(.constant(download)), upload: .topMagnitude(.constant(upload)))
  }

  /// Everything travels in both directions.
  public static let denseLoRA = Method(download: .all, upload: .all)
}

extension Method {
  /// What is wrong with its values, one line each; empty when nothing is.
  public var problems: [String] {
    Self.problems(of: download, "download") + Self.problems(of: upload, "upload")
  }

  private static func problems(of selection: Selection, _ name: String) -> [String] {
    func density(_ value: Double) -> [String] {
      value > 0 && value <= 1
        ? [] : ["\(name) density is \(value); it must be greater than 0 and at most 1"]
    }
    switch selection {
    case .all: return []
    case .topMagnitude(.constant(let value)): return density(value)
    case .topMagnitude(.geometric(let initial, let factor, let period)):
      var found = density(initial)
      if !(factor > 0 && factor.isFinite) {
        found.append("\(name) density factor is \(factor); it must be greater than 0")
      }
      if period < 1 { found.append("\(name) density period is \(period); it must be at least 1") }
      return found
    }
  }
}
