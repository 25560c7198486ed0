// Seeded defects: one line of the source changed, as a tired hand could change it, and a test that must notice.
// `npm run prove` makes each of them in a copy of the project, and runs the test. A defect that no test notices is a
// violation; so is one whose line is not in the source any more.

/**
 * @typedef {object} Defect
 * @property {string} what is wrong then, in a sentence
 * @property {string} file in `src`
 * @property {string} from stands in the file exactly once
 * @property {string} to
 * @property {string} test of `cargo test` that goes red; a module stands for its tests
 */

const TURN = 'model/grant/turn.rs';
const GRANT_SHARD = 'objects/grant_shard.rs';
const ACCOUNT_SHARD = 'objects/account_shard.rs';
const OUTBOX = 'objects/outbox.rs';
const INTERACTION = 'endpoints/interaction.rs';

/** @type {Defect[]} */
export const DEFECTS = [
  {
    what: 'a code redeemed again ends nothing',
    file: TURN,
    from: '            _ => Err(self.end(Refusal::Replayed, at)),',
    to: '            _ => Err(Reply::Refused(Refusal::Replayed)),',
    test: 'token::a_code_is_redeemed_once_and_a_later_replay_ends_everything_that_came_of_it',
  },
  {
    what: 'an old refresh token ends nothing',
    file: TURN,
    from: '            return Err(self.end(Refusal::Replayed, at));',
    to: '            return Err(Reply::Refused(Refusal::Replayed));',
    test: 'token::a_refresh_token_rotates_and_an_old_one_ends_the_family',
  },
  {
    what: 'the family is ended before it is known whether the verifier was right',
    file: TURN,
    from: '        if !binding.is_met(verifier, redirect_uri) {\n            return Err(Reply::Refused(Refusal::Mismatch));',
    to: '        if !binding.is_met(verifier, redirect_uri) {\n            return Err(self.end(Refusal::Mismatch, at));',
    test: 'token::a_failed_redemption_never_burns_the_code',
  },
  {
    what: 'PKCE and redirect_uri are not checked',
    file: TURN,
    from: '        if !binding.is_met(verifier, redirect_uri) {',
    to: '        if false {',
    test: 'token::a_failed_redemption_never_burns_the_code',
  },
  {
    what: 'a code lives a millisecond longer (`>` for `>=`)',
    file: TURN,
    from: '                if at.now >= redeem_by {',
    to: '                if at.now > redeem_by {',
    test: 'token::a_code_is_good_for_its_lifetime_and_no_millisecond_longer',
  },
  {
    what: 'the grace has no end',
    file: TURN,
    from: '        let forgiven = previous && (own || (!spent && at.now < rotated.plus(terms.grace)));',
    to: '        let forgiven = previous;',
    test: 'token::within_the_grace_the_same_successor_is_given_again_and_nothing_is_written',
  },
  {
    what: 'each use within the grace restarts it',
    file: TURN,
    from: '        if generation != current && !forgiven {',
    to: '        if let (true, State::Live { rotated, .. }) = (forgiven, &mut self.state) { *rotated = at.now; }\n        if generation != current && !forgiven {',
    test: 'token::within_the_grace_the_same_successor_is_given_again_and_nothing_is_written',
  },
  {
    what: 'the grace holds for every older generation',
    file: TURN,
    from: '        let previous = generation.checked_add(1) == Some(current);',
    to: '        let previous = generation < current;',
    test: 'token::once_the_successor_was_used_its_predecessor_ends_the_family_even_within_the_grace',
  },
  {
    what: 'a refresh does not count',
    file: TURN,
    from: '            *remaining = remaining.map(|left| left.saturating_sub(1));\n',
    to: '',
    test: 'token::a_legacy_refresh_token_repeats_and_is_counted_per_original_grant',
  },
  {
    what: 'rotation extends the life of the family',
    file: TURN,
    from: '        if idle || self.ends.is_some_and(|ends| at.now >= ends) {',
    to: '        if idle {',
    test: 'token::rotation_never_extends_the_familys_life_and_idleness_shortens_it',
  },
  {
    what: 'a refresh token may lie unused for ever',
    file: TURN,
    from: '        let idle = terms.idle.is_some_and(|idle| at.now >= rotated.plus(idle));',
    to: '        let idle = false;',
    test: 'token::rotation_never_extends_the_familys_life_and_idleness_shortens_it',
  },
  {
    what: 'any client may use the tokens of another',
    file: TURN,
    from: '        if same && expected == proof { Ok(()) }',
    to: '        if expected == proof { Ok(()) }',
    test: 'token::another_client_with_my_refresh_token_changes_nothing',
  },
  {
    what: 'the proof is not checked: a master key makes refresh tokens',
    file: TURN,
    from: '        if same && expected == proof { Ok(()) }',
    to: '        if same { Ok(()) }',
    test: 'leaks::a_master_key_alone_makes_no_code_refresh_token_session_or_access_token_of_a_grant',
  },
  {
    what: 'client, person and settings are not looked at again',
    file: TURN,
    from: '        if self.is_spared(marks) { Ok(()) } else { Err(Reply::Refused(Refusal::CutOff)) }',
    to: '        Ok(())',
    test: 'authorize::alice_disabled_between_consent_and_code_gets_no_tokens',
  },
  {
    what: 'an old refresh token that asks for too much is only refused',
    file: TURN,
    from: '        // Only the previous generation, only until its successor is used, only within a window that starts at its first\n',
    to: '        self.narrow(scope.clone(), &terms.allowed)?;\n        // Only the previous generation, only until its successor is used, only within a window that starts at its first\n',
    test: 'attacks::refresh::an_old_refresh_token_ends_the_family_whatever_scope_is_asked_beside_it',
  },
  {
    what: 'a code works though its redirect URI is not the client’s any more',
    file: TURN,
    from: '                if !binding.is_allowed(terms) {',
    to: '                if false {',
    test: 'attacks::codes::a_code_whose_redirect_uri_was_taken_from_the_client_is_refused',
  },
  {
    what: 'a refresh widens the scope',
    file: TURN,
    from: '        if !scope.is_within(&self.scope) || scope.is_empty() {',
    to: '        if scope.is_empty() {',
    test: 'token::a_refresh_never_gives_what_the_person_did_not_though_the_client_may_have_it',
  },
  {
    what: 'an access token never expires at introspection',
    file: TURN,
    from: '            Token::Access { claims, .. } if marks.token_revoked || at.now >= claims.expires => {',
    to: '            Token::Access { .. } if marks.token_revoked => {',
    test: 'revoke::a_token_expires_to_the_second_and_is_then_exactly_inactive',
  },
  {
    what: 'a revoked access token is active',
    file: TURN,
    from: '            Token::Access { claims, .. } if marks.token_revoked || at.now >= claims.expires => {',
    to: '            Token::Access { claims, .. } if at.now >= claims.expires => {',
    test: 'revoke::revoking_an_access_token_ends_it_alone_unless_a_setting_ends_its_grant',
  },
  {
    what: 'the end of a family is answered and not written',
    file: TURN,
    from: '        self.state = State::Ended { why };\n',
    to: '',
    test: 'token::four_generations_die_of_one_reuse',
  },
  {
    what: 'the row is not written',
    file: GRANT_SHARD,
    from: '        turn.store.put(table, owner, key, &text)?;\n',
    to: '        let _ = text;\n',
    test: 'token::a_code_gives_tokens_whose_kinds_lifetime_and_scope_are_said',
  },
  {
    what: 'a message that arrives again after others is done again',
    file: 'host.rs',
    from: '        let late = !self.is_newest(attempt) && self.0.contains(attempt);',
    to: '        let late = false;',
    test: 'messages::a_message_that_arrives_again_after_others_ends_no_family',
  },
  {
    what: 'a message is done whenever it arrives',
    file: 'host.rs',
    from: '        let late = self.sent.is_some_and(|sent| now > given_up(sent));',
    to: '        let late = self.sent.is_some_and(|sent| now > given_up(sent) && now < sent);',
    test: 'messages::a_message_is_done_for_as_long_as_its_sender_waits_and_after_that_it_changes_nothing',
  },
  {
    what: 'an older mark replaces a newer one',
    file: GRANT_SHARD,
    from: '    if kept.is_some_and(|kept| kept.version >= mark.version) {',
    to: '    if kept.is_some_and(|kept| kept.version == mark.version) {',
    test: 'storage::a_mark_that_arrives_late_or_twice_changes_nothing',
  },
  {
    what: '200 is said before every shard holds the change',
    file: OUTBOX,
    from: '            owed += usize::from(entry.versions.iter().any(|owed| *owed <= version));',
    to: '            owed += usize::from(entry.versions.iter().any(|owed| *owed < version));',
    test: 'admin::a_change_is_answered_200_only_once_every_shard_holds_it',
  },
  {
    what: 'a mark that could not be sent is forgotten',
    file: OUTBOX,
    from: '        Err(fault) => again(host, store, Kind::Mark, key, entry, &fault),',
    to: '        Err(_) => store.delete(TABLE, owner, key),',
    test: 'admin::a_change_is_answered_200_only_once_every_shard_holds_it',
  },
  {
    what: 'a new password leaves the sessions alone',
    file: ACCOUNT_SHARD,
    from: '    if password.is_some() || (before.enabled && !after.enabled) {',
    to: '    if before.enabled && !after.enabled {',
    test: 'restrictions::a_new_password_ends_every_session_and_every_grant',
  },
  {
    what: 'a session never ends',
    file: 'model/account.rs',
    from: '        now < self.ends && account.mark().spares(self.version, self.auth_time)',
    to: '        account.mark().spares(self.version, self.auth_time)',
    test: 'restrictions::a_session_lasts_as_long_as_the_setting_says_and_not_a_second_longer',
  },
  {
    what: 'a burst of passwords gets more tries than a sequence',
    file: 'model/throttle.rs',
    from: '        if held >= u64::from(limit.most) {',
    to: '        if held > u64::from(limit.most) {',
    test: 'throttle::',
  },
  {
    what: 'a form of another browser is taken',
    file: INTERACTION,
    from: '        if Browser::known(cx, request).as_ref() != Some(&pending.browser) {',
    to: '        if false {',
    test: 'authorize::a_form_of_another_browser_purpose_or_time_is_refused',
  },
  {
    what: 'a sign-in form is taken for a consent form',
    file: INTERACTION,
    from: '        let pending = pending.filter(|pending| pending.purpose == purpose);\n',
    to: '        let _ = purpose;\n',
    test: 'authorize::a_form_of_another_browser_purpose_or_time_is_refused',
  },
  {
    what: 'what was not asked can be ticked',
    file: 'endpoints/consent.rs',
    from: '        Some("allow") => ticked.common(&asked.request.scope),',
    to: '        Some("allow") => ticked,',
    test: 'authorize::what_was_ticked_is_what_is_given_and_never_more_than_was_shown',
  },
  {
    what: 'a client with a secret acts without it',
    file: 'caller.rs',
    from: '            (Some(_), None) => return Err(refused("secret missing")),',
    to: '            (Some(_), None) => {}',
    test: 'token::every_way_to_authenticate_works_and_no_other',
  },
  {
    what: 'a public client asks about the tokens of others',
    file: 'endpoints/introspect.rs',
    from: '    if !caller.client.is_confidential() {',
    to: '    if false {',
    test: 'revoke::introspection_tells_a_resource_server_what_it_needs_and_others_nothing',
  },
  {
    what: 'every client is told about every token',
    file: TURN,
    from: '        if !(any || own) || !self.is_proved(token) || !self.is_spared(marks) {',
    to: '        if !self.is_proved(token) || !self.is_spared(marks) || (any && own && false) {',
    test: 'revoke::introspection_tells_a_resource_server_what_it_needs_and_others_nothing',
  },
  {
    what: 'answers with tokens may be kept by caches',
    file: 'wire.rs',
    from: '            vec![("content-type", content_type.to_owned()), ("cache-control", "no-store".to_owned())];',
    to: '            vec![("content-type", content_type.to_owned())];',
    test: 'http::no_answer_that_carries_something_may_be_kept',
  },
  {
    what: 'a repeated parameter is taken',
    file: 'wire/params.rs',
    from: '                if seen.contains(&name) {',
    to: '                if false {',
    test: 'authorize::a_repeated_parameter_is_a_page_whatever_it_is',
  },
  {
    what: 'a loopback address lets any path pass',
    file: 'model/redirect_uri.rs',
    from: '        self == asked\n            || without',
    to: '        (self.is_loopback() && asked.is_loopback())\n            || without',
    test: 'only_loopback_addresses_may_change_their_port',
  },
  {
    what: 'the sixty-first failure is answered like the first',
    file: 'server.rs',
    from: '    if !error.code.is_a_guess() {',
    to: '    if true {',
    test: 'limits::after_sixty_failures_a_client_at_one_address_is_told_to_wait_and_the_right_secret_still_works',
  },
];
