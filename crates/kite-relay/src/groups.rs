//! Groups of clients that want exactly the same, so that a frame is cut once for all of them.
//!
//! A command costs at most one pass over the client's own book, no matter how many other clients
//! there are. A client that is alone in its group and whose new book no other group has changes
//! only the instruments that the command names.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use kite_wire::Mode;

use crate::changes::{Changes, ClientId};
use crate::index::{Index, Want};
use crate::successors::Successors;

/// The number of a group. Valid until the next change of a book; numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub(crate) u32);

impl GroupId {
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The clients that have instruments, grouped by equal books.
#[derive(Debug, Default)]
pub struct Groups {
    group_by_client: HashMap<ClientId, GroupId>,
    groups: Vec<Group>,
    free: Vec<GroupId>,
    /// Groups by the hash of their books. Different books may have the same hash.
    by_hash: HashMap<u64, Vec<GroupId>>,
    index: Index,
}

/// Clients with the same book, which is not empty unless the group is free.
#[derive(Debug, Default)]
struct Group {
    book: HashMap<u32, Mode>,
    hash: u64,
    members: Vec<ClientId>,
}

impl Groups {
    /// Changes a client's book; a client without one has an empty book.
    pub fn apply(&mut self, client: ClientId, changes: &Changes) {
        let old = self.group_by_client.get(&client).copied();
        let nothing = Group::default();
        let present = old.map_or(&nothing, |old| &self.groups[old.index()]);
        let (len, hash) = present.after(changes);
        if len == 0 {
            return self.leave(client);
        }
        if hash == present.hash && len == present.book.len() && present.is_after(present, changes) {
            return;
        }
        let same_hash = self.by_hash.get(&hash).map_or(&[][..], Vec::as_slice);
        let equal = same_hash.iter().copied().find(|&candidate| {
            let candidate = &self.groups[candidate.index()];
            candidate.book.len() == len && present.is_after(candidate, changes)
        });
        match (equal, old) {
            (Some(equal), _) => {
                self.leave(client);
                self.join(client, equal);
            }
            (None, Some(old)) if self.members(old).len() == 1 => self.change(old, changes, hash),
            (None, _) => {
                let book = present.book.clone();
                self.leave(client);
                let group = self.found(book);
                self.change(group, changes, hash);
                self.join(client, group);
            }
        }
    }

    /// Empties a client's book. Does nothing if it is empty.
    pub fn leave(&mut self, client: ClientId) {
        let Some(id) = self.group_by_client.remove(&client) else { return };
        let group = &mut self.groups[id.index()];
        group.members.retain(|&member| member != client);
        if group.members.is_empty() {
            self.dissolve(id);
        }
    }

    /// Returns the mode of an instrument in a client's book.
    #[must_use]
    pub fn mode(&self, client: ClientId, token: u32) -> Option<Mode> {
        let group = self.group_by_client.get(&client)?;
        self.groups[group.index()].book.get(&token).copied()
    }

    /// Iterates over a client's book, in no particular order.
    pub fn book(&self, client: ClientId) -> impl Iterator<Item = (u32, Mode)> {
        let group = self.group_by_client.get(&client);
        let book = group.map(|group| &self.groups[group.index()].book);
        book.into_iter().flatten().map(|(&token, &mode)| (token, mode))
    }

    /// Returns the number of instruments in a client's book.
    #[must_use]
    pub fn book_len(&self, client: ClientId) -> usize {
        let group = self.group_by_client.get(&client);
        group.map_or(0, |group| self.groups[group.index()].book.len())
    }

    /// Returns the clients of a group. Empty if there is no such group.
    #[must_use]
    pub fn members(&self, group: GroupId) -> &[ClientId] {
        self.groups.get(group.index()).map_or(&[], |group| &group.members)
    }

    /// Iterates over the groups that want an instrument, in any mode.
    pub fn wanting(&self, token: u32) -> impl Iterator<Item = GroupId> {
        self.index.wants(token).iter().map(|want| want.group)
    }

    /// Returns the number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len() - self.free.len()
    }

    /// Returns whether no client has an instrument.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the groups that want the instrument of the next packet.
    #[inline]
    pub(crate) fn wants_next(&self, token: u32, successors: &mut Successors) -> &[Want] {
        self.index.wants_next(token, successors)
    }

    /// Returns one more than the highest number of a group so far.
    pub(crate) fn end(&self) -> usize {
        self.groups.len()
    }

    fn join(&mut self, client: ClientId, group: GroupId) {
        self.groups[group.index()].members.push(client);
        self.group_by_client.insert(client, group);
    }

    /// Creates a group without members.
    fn found(&mut self, book: HashMap<u32, Mode>) -> GroupId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            GroupId((self.groups.len() - 1) as u32)
        });
        let hash = hash_of(&book);
        for (&token, &mode) in &book {
            self.index.set(token, id, Some(mode));
        }
        self.groups[id.index()] = Group { book, hash, members: Vec::new() };
        self.by_hash.entry(hash).or_default().push(id);
        id
    }

    fn dissolve(&mut self, id: GroupId) {
        let group = std::mem::take(&mut self.groups[id.index()]);
        self.forget_hash(group.hash, id);
        for token in group.book.into_keys() {
            self.index.set(token, id, None);
        }
        self.free.push(id);
    }

    /// Changes the book of a group.
    fn change(&mut self, id: GroupId, changes: &Changes, hash: u64) {
        let group = &mut self.groups[id.index()];
        for change in changes.iter() {
            match change.to {
                Some(mode) => group.book.insert(change.token, mode),
                None => group.book.remove(&change.token),
            };
            self.index.set(change.token, id, change.to);
        }
        let before = std::mem::replace(&mut group.hash, hash);
        self.forget_hash(before, id);
        self.by_hash.entry(hash).or_default().push(id);
    }

    fn forget_hash(&mut self, hash: u64, id: GroupId) {
        if let Some(same) = self.by_hash.get_mut(&hash) {
            same.retain(|&other| other != id);
            if same.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
    }
}

impl Group {
    /// Returns the length and hash of the book after changes.
    fn after(&self, changes: &Changes) -> (usize, u64) {
        let (mut len, mut hash) = (self.book.len(), self.hash);
        for change in changes.iter() {
            if let Some(&mode) = self.book.get(&change.token) {
                hash = hash.wrapping_sub(hash_of_one(change.token, mode));
                len -= 1;
            }
            if let Some(mode) = change.to {
                hash = hash.wrapping_add(hash_of_one(change.token, mode));
                len += 1;
            }
        }
        (len, hash)
    }

    /// Returns whether `other`, whose book is as long as this one after changes, is equal to it.
    fn is_after(&self, other: &Self, changes: &Changes) -> bool {
        other.book.iter().all(|(&token, &mode)| {
            let changed = changes.get(token).map(|change| change.to);
            changed.unwrap_or_else(|| self.book.get(&token).copied()) == Some(mode)
        })
    }
}

fn hash_of(book: &HashMap<u32, Mode>) -> u64 {
    book.iter().fold(0, |sum, (&token, &mode)| sum.wrapping_add(hash_of_one(token, mode)))
}

/// Hashes one instrument of a book. The hash of a book is the sum, which does not depend on the
/// order and follows a change without a pass over the book.
fn hash_of_one(token: u32, mode: Mode) -> u64 {
    // The finalizer of splitmix64.
    let mut bits = u64::from(token) << 2 | mode as u64;
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
