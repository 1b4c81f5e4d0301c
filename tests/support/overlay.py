"""A copy of this machine's file system."""

# Commands that mount it in a mount namespace, at /mnt/root: its changes are kept in memory. $1 is the checkout.
OVERLAY = """
    mount -t tmpfs tmpfs /mnt
    cd /mnt
    mkdir upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
    mount -t proc proc root/proc
    mount --rbind /dev root/dev
    cp -r "$1" root/root/polls
"""
