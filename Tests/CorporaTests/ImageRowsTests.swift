// Corpora of images: the order of a patch's values, what stands for a pixel, and malformed files.

import Corpora
import Foundation
import Safetensors
import TestSupport
import Testing

@Suite("Images")
struct ImageRowsTests {
  /// A split of images of these bytes, with labels 0 in all.
  private func dataset(
    shape: [Int], pixels: [UInt8], metadata: [String: String], in directory: TemporaryDirectory,
    imageTokens: Int = 5, tensors: [String: Any] = [:]
  ) throws -> TokenDataset {
    let path = directory.path + "/train.safetensors"
    var header: [String: Any] = [
      "__metadata__": metadata,
      "labels": ["dtype": "I32", "shape": [shape[0]], "data_offsets": [0, 4 * shape[0]]],
      "images": [
        "dtype": "U8", "shape": shape,
        "data_offsets": [4 * shape[0], 4 * shape[0] + pixels.count],
      ],
    ]
    header.merge(tensors) { $1 }
    var json = try JSONSerialization.data(withJSONObject: header)
    while json.count % 8 != 0 { json.append(32) }
    var bytes = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) }
    bytes += json + Data(count: 4 * shape[0]) + Data(pixels) + Data(count: tensors.count)
    try bytes.write(to: URL(fileURLWithPath: path))
    return try TokenDataset(path: path, imageTokens: imageTokens)
  }

  private let plain = ["image_mean": "[0, 0.5]", "image_std": "[1, 0.25]"]

  @Test("patches are rows of the image, and their values channels, rows, columns")
  func patches() throws {
    let directory = try TemporaryDirectory()
    // Pixel (row, column) of image 1 has 10 * row + column, and 51 in its second channel.
    let first = [UInt8](repeating: 9, count: 32)
    var second: [UInt8] = []
    for row in 0..<4 {
      for column in 0..<4 { second += [UInt8(10 * row + column), 51] }
    }
    let split = try dataset(
      shape: [2, 4, 4, 2], pixels: first + second, metadata: plain, in: directory)
    var found: [Float] = []
    split.appendPatches(of: 1, size: 2, to: &found)
    let numbers: [[Float]] = [
      [0, 1, 10, 11], [2, 3, 12, 13], [20, 21, 30, 31], [22, 23, 32, 33],
    ]
    // (51 / 255 - 0.5) / 0.25 = -1.2
    let expected = numbers.flatMap { (patch: [Float]) -> [Float] in
      patch.map { $0 / 255 } + [Float](repeating: -1.2, count: 4)
    }
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-7 })
    #expect(split.count == 2 && split.tokenCount(of: 0) == 5 && split.images?.shape == [4, 4, 2])
  }

  @Test(
    "malformed images are refused in one line",
    arguments: [
      (["image_std": "[1, 1]"], "metadata image_mean is not a JSON list of 2 numbers"),
      (["image_mean": "[0]", "image_std": "[1, 1]"], "image_mean is not a JSON list of 2"),
      (["image_mean": "[0, 0]", "image_std": "[1, 0]"], "image_std is not above 0"),
      (["image_mean": "[0, 1e308]", "image_std": "[1, 1e-300]"], "pixels that are not finite"),
    ])
  func malformed(_ metadata: [String: String], _ reason: String) throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: CorpusError.self) {
      try dataset(
        shape: [1, 2, 2, 2], pixels: [UInt8](repeating: 0, count: 8), metadata: metadata,
        in: directory)
    }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test("images of three dimensions are refused")
  func dimensions() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: CorpusError.self) {
      try dataset(
        shape: [1, 4, 2], pixels: [UInt8](repeating: 0, count: 8), metadata: plain, in: directory)
    }
    #expect(error?.description.contains("images is U8 [1, 4, 2], not U8 of") == true)
  }

  @Test("images beside tokens are refused")
  func imagesAndTokens() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: CorpusError.self) {
      try dataset(
        shape: [1, 2, 2, 2], pixels: [UInt8](repeating: 0, count: 8), metadata: plain,
        in: directory, tensors: ["loss": ["dtype": "U8", "shape": [1], "data_offsets": [12, 13]]])
    }
    #expect(error?.description.contains("images and loss are both there") == true)
  }
}
