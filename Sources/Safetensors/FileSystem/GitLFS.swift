// Pointers of Git LFS: the small text files that a clone without LFS has in place of large files.

/// Tells pointers of Git LFS from the files that they stand for.
public enum GitLFS {
  /// The error for a pointer.
  public static let advice =
    "is a Git LFS pointer, not the file itself; run git lfs pull in its repository"

  /// True if a file that begins with `bytes` is a pointer.
  public static func isPointer(_ bytes: some Collection<UInt8>) -> Bool {
    bytes.starts(with: "version https://git-lfs.github.com/spec/".utf8)
  }
}
