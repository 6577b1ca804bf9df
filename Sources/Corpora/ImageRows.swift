// The images of a split.
//   images   U8, (examples, height, width, channels): the pixels, channels last
// Metadata: image_mean and image_std (JSON lists, one number a channel): a model reads
// (pixel / 255 - mean) / std. Images are brought to the model's size by `prepare`.

import FoundationEssentials
internal import Safetensors

/// The pixels of all examples.
public struct ImageRows: Sendable {
  /// The number of images.
  public let count: Int
  /// Rows of pixels.
  public let height: Int
  /// Columns of pixels.
  public let width: Int
  /// Values of a pixel.
  public let channels: Int
  /// The tokens that the model makes of an image.
  public let tokens: Int
  nonisolated(unsafe) private let pixels: UnsafeRawBufferPointer
  /// The number that a model reads in place of each byte, (channels, 256).
  private let values: [Float]

  /// The images in a file; nil if it has none.
  /// - Throws: `CorpusError` where the tensor or its metadata are malformed.
  init?(_ file: SafetensorsFile, tokens: Int) throws {
    guard let tensor = file["images"] else { return nil }
    func refuse(_ reason: String) -> CorpusError { CorpusError(path: file.path, reason: reason) }
    for name in ["tokens", "offsets", "loss", "choice_counts"] where file[name] != nil {
      throw refuse("images and \(name) are both there; a corpus has images or texts")
    }
    guard tensor.elementType == .u8, tensor.shape.count == 4, tensor.elementCount > 0 else {
      throw refuse(
        "images is \(tensor.elementType.rawValue) \(tensor.shape), not U8 of"
          + " (examples, height, width, channels)")
    }
    (count, height, width, channels) = (
      tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]
    )
    self.tokens = tokens
    pixels = file.bytes(of: tensor)
    let channels = channels
    func numbers(_ key: String) throws -> [Double] {
      guard let text = file.metadata[key],
        let found = try? JSONDecoder().decode([Double].self, from: Data(text.utf8)),
        found.count == channels, found.allSatisfy(\.isFinite)
      else {
        throw refuse("metadata \(key) is not a JSON list of \(channels) numbers")
      }
      return found
    }
    let (mean, deviation) = (try numbers("image_mean"), try numbers("image_std"))
    guard deviation.allSatisfy({ $0 > 0 }) else {
      throw refuse("metadata image_std is not above 0")
    }
    values = (0..<channels).flatMap { channel in
      (0..<256).map { Float((Double($0) / 255 - mean[channel]) / deviation[channel]) }
    }
    guard values.allSatisfy(\.isFinite) else {
      throw refuse("metadata image_mean and image_std give pixels that are not finite")
    }
  }

  /// Height, width and channels.
  public var shape: [Int] { [height, width, channels] }

  /// Appends an image as a model reads it, cut into square patches, row by row; a patch's values
  /// are (channels, rows, columns).
  /// - Precondition: the image has whole patches.
  func append(_ example: Int, patchSize: Int, to patches: inout [Float]) {
    precondition(
      height % patchSize == 0 && width % patchSize == 0,
      "images of \(height) x \(width) pixels in patches of \(patchSize)")
    let first = example * height * width * channels
    for top in stride(from: 0, to: height, by: patchSize) {
      for left in stride(from: 0, to: width, by: patchSize) {
        for channel in 0..<channels {
          for row in top..<top + patchSize {
            for column in left..<left + patchSize {
              let pixel = pixels[first + (row * width + column) * channels + channel]
              patches.append(values[channel * 256 + Int(pixel)])
            }
          }
        }
      }
    }
  }
}
