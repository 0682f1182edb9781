package file

import (
	"encoding/binary"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// This file is the short way to the kernel: names are looked up relative to an open directory, and a file costs open, stat, read, stat
// and close, without the poller that os.File brings. folder_other.go does the same with package os.

// folder is an open directory that several tasks share.
type folder struct {
	fd     int
	remote bool // on a network or user-space file system: its clock is not ours, its attributes may be cached
	users  atomic.Int32
}

// handle is a file open for reading.
type handle int

const listBuffer = 64 << 10

func openFolder(path string) (*folder, error) {
	return newFolder(ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) }))
}

// sub opens a directory below f. The last part of rel is never a link.
func (f *folder) sub(rel string) (*folder, error) {
	return newFolder(ignoringEINTR(func() (int, error) {
		return unix.Openat(f.fd, rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}))
}

func newFolder(fd int, err error) (*folder, error) {
	if err != nil {
		return nil, err
	}
	f := &folder{fd: fd, remote: isRemote(fd)}
	f.users.Store(1)
	return f, nil
}

func (f *folder) share(n int) { f.users.Add(int32(n)) }

func (f *folder) release() {
	if f.users.Add(-1) == 0 {
		_ = unix.Close(f.fd)
	}
}

// list gives the names in the directory, in the kernel's order, and what they are as far as the directory says. buf is scratch memory.
func (f *folder) list(buf []byte) ([]listed, error) {
	var names []byte
	type span struct {
		end  int
		kind kind
	}
	var spans []span
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(f.fd, buf) })
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		for b := buf[:n]; len(b) > 19; {
			// struct linux_dirent64: inode (8), offset (8), length (2), type (1), name and NUL.
			size := int(binary.NativeEndian.Uint16(b[16:]))
			name := b[19:size]
			for i, c := range name {
				if c == 0 {
					name = name[:i]
					break
				}
			}
			if string(name) != "." && string(name) != ".." {
				names = append(names, name...)
				spans = append(spans, span{len(names), kindOfType(b[18])})
			}
			b = b[size:]
		}
	}
	all, out, start := string(names), make([]listed, len(spans)), 0
	for i, s := range spans {
		out[i] = listed{all[start:s.end], s.kind}
		start = s.end
	}
	return out, nil
}

func kindOfType(t byte) kind {
	switch t {
	case unix.DT_REG:
		return kindFile
	case unix.DT_DIR:
		return kindDir
	case unix.DT_LNK:
		return kindLink
	case unix.DT_UNKNOWN:
		return kindUnknown
	default:
		return kindSpecial
	}
}

// stat looks at a name without opening it; with follow, at what a link points to.
func (f *folder) stat(name string, follow bool) (meta, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	if f.remote {
		return f.statFresh(name, flags)
	}
	var st unix.Stat_t
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatat(f.fd, name, &st, flags) })
	return metaOf(&st), err
}

// statFresh asks the server instead of the attribute cache of the client.
func (f *folder) statFresh(name string, flags int) (meta, error) {
	var st unix.Statx_t
	_, err := ignoringEINTR(func() (int, error) {
		return 0, unix.Statx(f.fd, name, flags|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
	})
	return meta{kind: kindOfMode(uint32(st.Mode)), exec: st.Mode&0o100 != 0, stamp: stamp{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino,
		size: int64(st.Size), mtime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), ctime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec)}}, err
}

func (f *folder) readlink(name string) (string, error) {
	for buf := make([]byte, 256); ; buf = make([]byte, 4*len(buf)) {
		n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(f.fd, name, buf) })
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
	}
}

// open opens a file for reading. Should it have become a fifo or a device meanwhile, opening neither waits nor makes it our terminal.
func (f *folder) open(name string, follow bool) (handle, error) {
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := ignoringEINTR(func() (int, error) { return unix.Openat(f.fd, name, flags, 0) })
	return handle(fd), err
}

func (h handle) stat() (meta, error) {
	var st unix.Stat_t
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstat(int(h), &st) })
	return metaOf(&st), err
}

// read follows io.Reader, except that it may give 0 and io.EOF only at the end.
func (h handle) read(b []byte) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(int(h), b) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (h handle) remote() bool { return isRemote(int(h)) }

func (h handle) close() { _ = unix.Close(int(h)) }

// willReadAll asks for more read-ahead.
func (h handle) willReadAll() { _ = unix.Fadvise(int(h), 0, 0, unix.FADV_SEQUENTIAL) }

func metaOf(st *unix.Stat_t) meta {
	return meta{kind: kindOfMode(st.Mode), exec: st.Mode&0o100 != 0, stamp: stamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}}
}

func kindOfMode(mode uint32) kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return kindFile
	case unix.S_IFDIR:
		return kindDir
	case unix.S_IFLNK:
		return kindLink
	default:
		return kindSpecial
	}
}

// remoteTypes are the statfs(2) types of file systems whose times another machine or program sets: NFS, SMB (three numbers), CIFS, 9p,
// FUSE, Ceph, AFS (two), Coda, Lustre, GPFS, GFS2, OCFS2, BeeGFS.
var remoteTypes = map[uint32]bool{0x6969: true, 0x517b: true, 0xfe534d42: true, 0xff534d42: true, 0x01021997: true, 0x65735546: true, 0x00c36400: true,
	0x5346414f: true, 0x6b414653: true, 0x73757245: true, 0x0bd00bd0: true, 0x47504653: true, 0x01161970: true, 0x7461636f: true, 0x19830326: true}

func isRemote(fd int) bool {
	var st unix.Statfs_t
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatfs(fd, &st) })
	return err != nil || remoteTypes[uint32(st.Type)]
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// statsTell says that an unchanged stamp means an unchanged file here: inode and ctime are real.
const statsTell = true

// errNotDirectory is what opening a link or a file as a directory gives.
func isSwapped(err error) bool { return err == unix.ELOOP || err == unix.ENOTDIR || err == unix.ENXIO }

func isLinkLoop(err error) bool { return err == unix.ELOOP }

// clone makes dst share the blocks of src, where the file system can.
func clone(dst *os.File, src handle) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src)) == nil
}

// renameNew renames, and fails when something is at the new path.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return renameChecked(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
